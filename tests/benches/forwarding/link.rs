//! Links of programs that another process has attached.

use std::io;
use std::os::fd::{AsFd as _, AsRawFd as _, BorrowedFd, FromRawFd as _, OwnedFd};

use anyhow::{Context as _, Result, ensure};
use aya::programs::{ProgramInfo, loaded_links, loaded_programs};

/// Commands of `bpf(2)`.
const LINK_UPDATE: libc::c_long = 29;
const LINK_GET_FD_BY_ID: libc::c_long = 30;

/// Puts the program of the second name in the place of that of the first, wherever that is attached: of the
/// one that was loaded last, and the first one that was loaded after it.
pub(crate) fn replace(old: &str, new: &str) -> Result<()> {
    let old = named(old).max_by_key(ProgramInfo::id).with_context(|| missing(old))?;
    let later = named(new).filter(|program| program.id() > old.id());
    let new = later.min_by_key(ProgramInfo::id).with_context(|| missing(new))?.fd()?;
    let links = loaded_links().filter_map(Result::ok).filter(|link| link.program_id() == old.id());
    let mut replaced = 0;
    for link in links {
        let link = open(link.id()).context("cannot open a link")?;
        update(&link, new.as_fd()).context("cannot go over to another program")?;
        replaced += 1;
    }
    ensure!(replaced > 0, "the program that was loaded last is attached nowhere");
    Ok(())
}

fn named(name: &str) -> impl Iterator<Item = ProgramInfo> {
    let programs = loaded_programs().filter_map(Result::ok);
    programs.filter(move |program| program.name_as_str() == Some(name))
}

fn missing(name: &str) -> String {
    format!("there is no program {name}")
}

/// The descriptor of a link.
fn open(id: u32) -> io::Result<OwnedFd> {
    let descriptor = call(LINK_GET_FD_BY_ID, [id, 0, 0, 0])?;
    // SAFETY: the kernel has just made it, and nobody else knows of it.
    Ok(unsafe { OwnedFd::from_raw_fd(descriptor as i32) })
}

fn update(link: &OwnedFd, program: BorrowedFd<'_>) -> io::Result<()> {
    let [link, program] = [link.as_raw_fd(), program.as_raw_fd()].map(|fd| fd as u32);
    call(LINK_UPDATE, [link, program, 0, 0]).map(drop)
}

/// The system call, with the first words of `union bpf_attr`.
fn call(command: libc::c_long, mut attributes: [u32; 4]) -> io::Result<libc::c_long> {
    // SAFETY: neither command follows a pointer, and each takes the words that it is given.
    let result = unsafe {
        libc::syscall(
            libc::SYS_bpf,
            command,
            attributes.as_mut_ptr(),
            size_of_val(&attributes) as libc::c_long,
        )
    };
    if result < 0 { Err(io::Error::last_os_error()) } else { Ok(result) }
}
