//! The verifier's budget: how much of what it grants the XDP program takes.

use std::collections::BTreeMap;
use std::io::Write as _;

use aya::{EbpfLoader, programs::Xdp};
use object::{Object as _, ObjectSection as _, ObjectSymbol as _, RelocationTarget, SymbolKind};
use pointsman::config::TableSizes;
use pointsman::dataplane::{Layout, OBJECT};
use pointsman_ebpf::path::Stage;

/// The most instructions that the kernel's verifier processes (`BPF_COMPLEXITY_LIMIT_INSNS`).
const INSTRUCTION_LIMIT: u32 = 1_000_000;

/// The most stack that a chain of calls may use, in bytes (`MAX_BPF_STACK`).
const STACK_LIMIT: usize = 512;

/// What this project allows itself, so that there is room for other kernels' verifiers.
const STACK_BUDGET: usize = 480;

#[test]
fn every_stage_takes_less_than_half_of_the_instructions() {
    // In a table of one element every element is there, and the verifier knows.
    const ENTRIES: u32 = 4096;
    let layout = Layout::new(&TableSizes {
        flows: ENTRIES,
        unreplied: ENTRIES,
        invited: ENTRIES,
        mappings: ENTRIES,
        hosts: ENTRIES,
        fragments: ENTRIES,
        pins: ENTRIES,
        unreplied_pins: ENTRIES,
        invited_pins: ENTRIES,
    });
    let mut loader = EbpfLoader::new();
    layout.apply(&mut loader);
    let mut object = loader.load(OBJECT).expect("the object loads as root");
    for stage in Stage::ALL {
        let name = stage.program();
        let program: &mut Xdp =
            object.program_mut(name).expect("the program is there").try_into().unwrap();
        program.load().expect("the verifier accepts the program");
        let info = program.info().unwrap();
        let verified = info.verified_instruction_count().expect("kernel 5.16 or later tells");
        tell(&format!(
            "{name}: {verified} instructions verified ({:.1} % of the limit), {} translated \
             bytes, {} bytes of machine code",
            f64::from(verified) * 100.0 / f64::from(INSTRUCTION_LIMIT),
            info.size_translated().unwrap_or_default(),
            info.size_jitted(),
        ));
        assert!(verified < INSTRUCTION_LIMIT / 2, "{name}: {verified} instructions verified");
    }
}

#[test]
fn every_stage_stays_within_the_stack_budget() {
    let functions = functions();
    for stage in Stage::ALL {
        let (stack, chain) = deepest(stage.program(), &functions);
        let chain = chain.join(" -> ");
        tell(&format!("{}: {stack} bytes of stack of {STACK_LIMIT}, in {chain}", stage.program()));
        assert!(stack > 0, "no stack use found: does the test still read the object right?");
        assert!(stack <= STACK_BUDGET, "{stack} bytes of stack in {chain}");
    }
}

/// Prints past the test harness, which keeps the output of what passes to itself.
fn tell(line: &str) {
    let mut stderr = std::io::stderr();
    writeln!(stderr, "{line}").unwrap();
}

/// A function of the object: its own stack and whom it calls.
#[derive(Debug, Default)]
struct Function {
    stack: usize,
    calls: Vec<String>,
}

/// The chain of calls from `name` that uses the most stack. A frame takes a multiple of 32 bytes.
fn deepest(name: &str, functions: &BTreeMap<String, Function>) -> (usize, Vec<String>) {
    let function = functions.get(name).unwrap_or_else(|| panic!("no function {name}"));
    let (below, chain) = function
        .calls
        .iter()
        .map(|callee| deepest(callee, functions))
        .max_by_key(|(stack, _)| *stack)
        .unwrap_or_default();
    let own = function.stack.next_multiple_of(32);
    (own + below, [vec![format!("{name} ({own})")], chain].concat())
}

/// Reads the functions out of the object: the frame pointer, `r10`, is only ever used with an
/// offset below it, and the lowest is the function's stack.
fn functions() -> BTreeMap<String, Function> {
    let object = object::File::parse(OBJECT).unwrap();
    let mut functions = BTreeMap::new();
    for symbol in object.symbols().filter(|symbol| symbol.kind() == SymbolKind::Text) {
        let section = object.section_by_index(symbol.section_index().unwrap()).unwrap();
        let range = symbol.address()..symbol.address() + symbol.size();
        let code = &section.data().unwrap()[range.start as usize..range.end as usize];
        let mut function = Function { stack: stack(code), calls: Vec::new() };
        for (offset, relocation) in section.relocations().filter(|(at, _)| range.contains(at)) {
            let instruction = &code[(offset - range.start) as usize..];
            if let (CALL, RelocationTarget::Symbol(target)) = (instruction[0], relocation.target())
            {
                function.calls.push(callee(&object, instruction, target));
            }
        }
        functions.insert(symbol.name().unwrap().to_owned(), function);
    }
    functions
}

/// The function that a relocated `call` calls.
fn callee(object: &object::File<'_>, call: &[u8], target: object::SymbolIndex) -> String {
    let target = object.symbol_by_index(target).unwrap();
    if target.kind() == SymbolKind::Text {
        return target.name().unwrap().to_owned();
    }
    // By section: the immediate is the distance from its start in instructions, less one.
    let immediate = i32::from_le_bytes(call[4..8].try_into().unwrap());
    let address = u64::try_from((immediate + 1) * 8).unwrap();
    let function = object.symbols().find(|symbol| {
        symbol.kind() == SymbolKind::Text
            && symbol.section_index() == target.section_index()
            && symbol.address() == address
    });
    function.unwrap_or_else(|| panic!("no function at {address:#x}")).name().unwrap().to_owned()
}

/// `call` (RFC 9669 section 4.3).
const CALL: u8 = 0x85;
/// `dst = src`, 64 bits.
const MOVE: u8 = 0xbf;
/// `dst += immediate`, 64 bits.
const ADD: u8 = 0x07;
/// The frame pointer.
const FRAME: u8 = 10;

/// The deepest use of the frame pointer: as the base of a load or store, or copied to a register
/// that the next instruction moves down.
fn stack(code: &[u8]) -> usize {
    let instructions: Vec<&[u8]> = code.chunks_exact(8).collect();
    let mut lowest = 0;
    for (index, instruction) in instructions.iter().enumerate() {
        let (destination, source) = (instruction[1] & 0x0f, instruction[1] >> 4);
        let offset = i32::from(i16::from_le_bytes([instruction[2], instruction[3]]));
        // The three lower bits are the class: 1 loads, 2 and 3 store.
        let depth = match instruction[0] & 0x07 {
            1 if source == FRAME => offset,
            2 | 3 if destination == FRAME => offset,
            _ if instruction[0] == MOVE && source == FRAME => {
                let next = instructions.get(index + 1).copied().unwrap_or(&[0; 8]);
                if next[0] == ADD && next[1] & 0x0f == destination {
                    i32::from_le_bytes(next[4..8].try_into().unwrap())
                } else {
                    0
                }
            }
            _ => 0,
        };
        lowest = lowest.min(depth);
    }
    lowest.unsigned_abs() as usize
}
