//! Detaching what a link attaches that is kept in a file, at once: the kernel lets go of a file that is removed
//! later. aya has no such call.

use std::ffi::CString;
use std::fs;
use std::io;
use std::os::fd::{AsRawFd as _, FromRawFd as _, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::path::Path;

/// Commands of bpf(2), `enum bpf_cmd`.
const OBJ_GET: libc::c_long = 7;
const LINK_DETACH: libc::c_long = 34;

/// `union bpf_attr` of the first of these commands; of the second, its beginning is a descriptor.
#[derive(Default)]
#[repr(C)]
struct Attributes {
    path: u64,
    descriptor: u32,
    flags: u32,
}

/// Detaches the program of a link that is kept in this file, which goes.
///
/// # Errors
/// Where the kernel refuses. That the file is gone already is none.
pub(super) fn detach_kept(path: &Path) -> io::Result<()> {
    let name = CString::new(path.as_os_str().as_bytes())?;
    let mut attributes =
        Attributes { path: name.as_ptr().expose_provenance() as u64, ..Attributes::default() };
    match bpf(OBJ_GET, &mut attributes) {
        Ok(descriptor) => {
            // SAFETY: the kernel has just opened it for this process, and nobody else knows it.
            let link = unsafe { OwnedFd::from_raw_fd(descriptor) };
            // A descriptor of an open file is not negative.
            let mut attributes =
                Attributes { path: link.as_raw_fd() as u32 as u64, ..Attributes::default() };
            bpf(LINK_DETACH, &mut attributes)?;
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    }
    fs::remove_file(path)
}

fn bpf(command: libc::c_long, attributes: &mut Attributes) -> io::Result<i32> {
    let attributes = (&raw mut *attributes).expose_provenance();
    // SAFETY: the kernel reads as much as it is told of what both commands take, and the path, which outlives
    // the call.
    let result =
        unsafe { libc::syscall(libc::SYS_bpf, command, attributes, size_of::<Attributes>()) };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result as i32) }
}
