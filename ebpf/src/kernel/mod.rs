//! What the path is generic over, backed by the kernel.

mod fib;
mod flow_tables;
mod frame;
mod maps;
mod tables;
mod tables6;
mod tagged_frame;

pub(crate) use flow_tables::look_up;
pub(crate) use frame::{PacketFrame, whole_len};
pub(crate) use maps::{Carried, Left, count, enter, leave, leave_note, left, redirect};
pub(crate) use tables::{KernelTables, hear};
pub(crate) use tagged_frame::TaggedPacketFrame;
