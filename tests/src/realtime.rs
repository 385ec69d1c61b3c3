use std::io;

/// Puts the calling thread, and those that it starts, before all ordinary tasks of its CPUs
/// (`SCHED_FIFO`, at the lowest of its priorities). It must sleep most of the time.
///
/// # Errors
///
/// Where the process may not. The thread is as it was then.
pub fn claim_realtime() -> io::Result<()> {
    let lowest = libc::sched_param { sched_priority: 1 };
    // SAFETY: the kernel reads the parameter during the call.
    match unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const lowest) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
