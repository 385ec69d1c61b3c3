//! The network card of an end host.
//!
//! A veth accepts frames that were redirected to its peer only while it has an XDP program of its
//! own. Without one they vanish, and nothing counts them.

use aya_ebpf::{bindings::xdp_action, macros::xdp, programs::XdpContext};

/// Hands every frame to the kernel, of several pages too, so that it limits no MTU.
#[xdp(frags)]
fn pass(_: XdpContext) -> u32 {
    xdp_action::XDP_PASS
}
