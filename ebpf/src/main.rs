//! The XDP program: [`pointsman_ebpf::path`] over the kernel's packet and BPF maps.
#![no_std]
#![no_main]

mod kernel;

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};
use kernel::{KernelTables, PacketFrame, count, redirect};
use pointsman_ebpf::{path, verdict::Verdict};

/// Every interface of the gateway, LAN and uplink alike.
#[xdp]
pub(crate) fn pointsman(context: XdpContext) -> u32 {
    let mut frame = PacketFrame::new(&context);
    let verdict = path::process(&mut frame, &KernelTables, context.ingress_ifindex() as u32);
    act(verdict, &frame)
}

/// The only place where a verdict becomes an XDP action.
#[inline(always)]
fn act(verdict: Verdict, frame: &PacketFrame) -> u32 {
    let (action, verdict) = match verdict {
        Verdict::Forward { egress, .. } => redirect(egress, verdict),
        Verdict::Pass(_) => (xdp_action::XDP_PASS, verdict),
        Verdict::Drop(_) => (xdp_action::XDP_DROP, verdict),
    };
    count(verdict.counter(), frame);
    action
}

#[panic_handler]
fn panic(_info: &core::panic::PanicInfo<'_>) -> ! {
    loop {}
}

/// The kernel offers some helpers to programs under the GPL only.
#[unsafe(no_mangle)]
#[unsafe(link_section = "license")]
static LICENSE: [u8; 13] = *b"Dual MIT/GPL\0";
