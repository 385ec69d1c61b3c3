use aya::Ebpf;
use aya::maps::ProgramArray;
use aya::programs::{ProgramError, Xdp};
use pointsman_ebpf::path::Stage;

use super::error::{LoadError, errno};

/// The map of the programs that a packet's path goes through.
pub(super) const STAGES: &str = "STAGES";

/// Loads the programs of all stages, and puts each in its place. The kernel empties the map when
/// the last descriptor of it is closed, so keep what is returned for as long as packets come.
///
/// # Errors
/// Where the kernel refuses, or the object is of another version.
pub fn load_stages(object: &mut Ebpf) -> Result<ProgramArray<aya::maps::MapData>, LoadError> {
    let map = object.take_map(STAGES).and_then(|map| ProgramArray::try_from(map).ok());
    let mut stages = map.ok_or(LoadError::Map(STAGES))?;
    for stage in Stage::ALL {
        let program = program(object, stage).ok_or(LoadError::NoProgram(stage.program()))?;
        let refused = |error: ProgramError| match errno(&error) {
            Some(libc::EPERM) => LoadError::Permission,
            _ => LoadError::Program(stage.program(), Box::new(error)),
        };
        program.load().map_err(refused)?;
        let descriptor = program.fd().map_err(refused)?;
        stages
            .set(stage as u32, descriptor, 0)
            .map_err(|error| LoadError::Stage(stage.program(), Box::new(error)))?;
    }
    Ok(stages)
}

/// The program of a stage.
pub(super) fn program(object: &mut Ebpf, stage: Stage) -> Option<&mut Xdp> {
    object.program_mut(stage.program())?.try_into().ok()
}
