use std::fmt;

use aya::programs::loaded_programs;
use netlink_packet_core::{NLM_F_REQUEST, NetlinkHeader, NetlinkMessage, NetlinkPayload};
use netlink_packet_route::RouteNetlinkMessage;
use netlink_packet_route::link::{LinkAttribute, LinkMessage, LinkXdp};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_ROUTE};

use super::Frames;

/// How long the kernel lets names of programs be, in bytes, with a zero at the end.
const BPF_OBJ_NAME_LEN: usize = 16;

/// The XDP program that is attached to an interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occupant {
    /// The kernel's identifier, as `bpftool prog` shows it.
    pub id: u32,
    /// The program's name, at most 15 bytes; empty where it has none.
    pub name: String,
}

impl fmt::Display for Occupant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { id, name } = self;
        if name.is_empty() { write!(f, "id {id}") } else { write!(f, "{name}, id {id}") }
    }
}

impl Occupant {
    /// Whether it is one of Pointsman's, by its name.
    pub fn is_ours(&self) -> bool {
        // As much of it as the kernel keeps.
        let kept = |program: &str| program.bytes().take(BPF_OBJ_NAME_LEN - 1).eq(self.name.bytes());
        Frames::ALL.iter().any(|frames| kept(frames.first().program()))
    }

    /// Whose program the interface with this index has. It is for a message only, so nothing is
    /// said of what goes wrong. A process that may not look at programs gets no name.
    pub fn of(ifindex: u32) -> Option<Self> {
        let id = program_id(link(ifindex)?)?;
        let program = loaded_programs().filter_map(Result::ok).find(|program| program.id() == id);
        let name = program.and_then(|program| program.name_as_str().map(str::to_owned));
        Some(Self { id, name: name.unwrap_or_default() })
    }
}

/// What the kernel tells of an interface. It answers while the request is being sent.
fn link(ifindex: u32) -> Option<LinkMessage> {
    let mut message = LinkMessage::default();
    message.header.index = ifindex;
    let mut header = NetlinkHeader::default();
    header.flags = NLM_F_REQUEST;
    let message = RouteNetlinkMessage::GetLink(message);
    let mut request = NetlinkMessage::new(header, NetlinkPayload::from(message));
    request.finalize();
    let mut bytes = vec![0; request.buffer_len()];
    request.serialize(&mut bytes);

    let socket = Socket::new(NETLINK_ROUTE).ok()?;
    socket.send_to(&bytes, &SocketAddr::new(0, 0), 0).ok()?;
    let (answer, _) = socket.recv_from_full().ok()?;
    match NetlinkMessage::<RouteNetlinkMessage>::deserialize(&answer).ok()?.payload {
        NetlinkPayload::InnerMessage(RouteNetlinkMessage::NewLink(link)) => Some(link),
        _ => None,
    }
}

fn program_id(link: LinkMessage) -> Option<u32> {
    link.attributes.into_iter().find_map(|attribute| match attribute {
        LinkAttribute::Xdp(xdp) => xdp.into_iter().find_map(|xdp| match xdp {
            LinkXdp::ProgId(id) => Some(id),
            _ => None,
        }),
        _ => None,
    })
}
