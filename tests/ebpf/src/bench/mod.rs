//! The forwarding benchmark: a traffic generator, two gateways to compare with, and a sink.
//!
//! Settings are globals that the loader sets, so to the verifier and the JIT they are constants.

mod frame;
mod frame6;
mod generator;
mod paced;
mod reference;
mod sink;
mod sink6;
mod traffic;

use aya_ebpf::programs::XdpContext;

/// The bytes of the packet from this one on as a `T`, if it has as many.
#[inline(always)]
fn packet<T>(context: &XdpContext, from: usize) -> Option<*mut T> {
    let start = context.data() + from;
    (start + size_of::<T>() <= context.data_end()).then_some(start as *mut T)
}

/// A global that the loader may have set: past the optimiser, which knows only its first value.
macro_rules! setting {
    ($name:ident) => {{
        // SAFETY: a static is valid to read, and nothing writes this one after loading.
        let value = unsafe { (&raw const $name).read_volatile() };
        value
    }};
}
use setting;
