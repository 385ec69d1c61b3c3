//! The XDP programs of the laboratory, one module each.
//!
//! Whoever loads one program creates the maps of all of them. So a map is declared small here, and
//! made large by the loader that needs it.

#![no_std]
#![no_main]

mod bench;
mod pass;

#[cfg(target_arch = "bpf")]
#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

#[used]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
