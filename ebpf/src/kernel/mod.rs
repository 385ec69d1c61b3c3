//! What the path is generic over, backed by the kernel.

mod flow_tables;
mod frame;
mod maps;
mod tables;

pub(crate) use flow_tables::look_up;
pub(crate) use frame::PacketFrame;
pub(crate) use maps::{count, enter, leave, left, redirect};
pub(crate) use tables::KernelTables;
