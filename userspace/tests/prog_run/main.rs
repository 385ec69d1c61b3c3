//! The loaded XDP programs against the path on the host: the same packets, the same tables, and
//! every packet must come out of both alike, and leave both tables alike. It fails where the
//! compiler, the verifier or a helper makes of the path something else than it says.

#[path = "../../../ebpf/tests/cases/all.rs"]
mod cases;
mod handshakes;
mod hosts;
mod ipv6;
mod kernel;
mod liveness;
mod loaded;
mod sequence;
mod sequence6;
mod sequence64;
#[path = "../../../ebpf/tests/differential/shrink.rs"]
mod shrink;
#[path = "../../../ebpf/tests/differential/shrink6.rs"]
mod shrink6;
#[path = "../../../ebpf/tests/differential/shrink64.rs"]
mod shrink64;
mod tables;
