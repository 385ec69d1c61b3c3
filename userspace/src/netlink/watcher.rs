use std::collections::VecDeque;
use std::io;
use std::os::fd::AsRawFd as _;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_MULTIPART, NetlinkMessage, NetlinkPayload,
};
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::Socket;
use nix::sys::socket::{MsgFlags, setsockopt, sockopt::RcvBufForce};
use socket2::{SockFilter, SockRef};
use tokio::io::unix::AsyncFd;

use super::replacement::Replacements;
use super::socket::{self, DATAGRAM};
use super::{Error, Fact, Snapshot, decode};

/// What a [`Watcher`] has to tell.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Update {
    /// All that holds now. The first update is one of these, and so is the one after the kernel has
    /// had to throw notifications away: forget what was known before.
    Resync(Snapshot),
    /// Something has changed.
    Fact(Fact),
}

/// Follows the kernel's links, addresses, neighbours and default routes.
///
/// One socket carries both the lists and the notifications, so they come in the order in which
/// things happened.
pub struct Watcher {
    stream: Stream,
    receive_buffer: usize,
    /// Whether a snapshot has been handed out, so that facts mean something.
    announced: bool,
    updates: VecDeque<Update>,
    buffer: Vec<u8>,
}

/// Room for some ten thousand notifications that the daemon has not read yet, in bytes.
const RECEIVE_BUFFER: usize = 8 << 20;

impl Watcher {
    /// Subscribes in the calling thread's network namespace. Runs in a Tokio runtime with I/O.
    ///
    /// # Errors
    /// [`Error::Open`] or [`Error::Io`] if the kernel gives no such socket.
    pub fn new() -> Result<Self, Error> {
        Self::with_receive_buffer(RECEIVE_BUFFER)
    }

    /// [`Watcher::new`] with room for so many bytes of notifications.
    ///
    /// # Errors
    /// As [`Watcher::new`].
    pub fn with_receive_buffer(receive_buffer: usize) -> Result<Self, Error> {
        Ok(Self {
            stream: Stream::open(receive_buffer)?,
            receive_buffer,
            announced: false,
            updates: VecDeque::new(),
            buffer: vec![0; DATAGRAM],
        })
    }

    /// Waits for the next update. Dropping the future before it is done loses nothing.
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Refused`]; the watcher is of no use any more.
    pub async fn next(&mut self) -> Result<Update, Error> {
        loop {
            if let Some(update) = self.updates.pop_front() {
                return Ok(update);
            }
            match self.stream.receive(&mut self.buffer).await {
                Ok(length) => self.datagram(length)?,
                // A new socket has neither stale notifications in it nor an unfinished list.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    log::warn!(
                        "the kernel has thrown notifications away; listing everything again"
                    );
                    self.stream = Stream::open(self.receive_buffer)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn datagram(&mut self, length: usize) -> Result<(), Error> {
        for message in socket::messages(&self.buffer[..length]) {
            let listed = message.header.flags & NLM_F_MULTIPART != 0;
            for fact in self.stream.message(message)? {
                // While the list of things is not complete, changes are told all the same: a lost
                // carrier does not wait.
                if self.announced && !listed {
                    self.updates.push_back(Update::Fact(fact));
                }
            }
            if let Some(snapshot) = self.stream.finished() {
                self.announced = true;
                self.updates.push_back(Update::Resync(snapshot));
            }
        }
        if self.stream.in_doubt {
            log::info!(
                "an IPv6 default route may have replaced one of several; listing everything again"
            );
            self.stream = Stream::open(self.receive_buffer)?;
        }
        Ok(())
    }
}

/// A subscribed socket, and the lists that are being read from it.
struct Stream {
    socket: AsyncFd<Socket>,
    listing: Option<Listing>,
    replacements: Replacements,
    /// The notifications do not tell what holds now: only a new list does.
    in_doubt: bool,
}

/// How far the reading of the kernel's lists has come.
#[derive(Default)]
struct Listing {
    snapshot: Snapshot,
    /// The list that is being read.
    list: usize,
    /// The kernel changed the list while it was being read.
    interrupted: bool,
}

impl Stream {
    /// Subscribes first and asks for the lists then, so that no change falls between.
    fn open(receive_buffer: usize) -> Result<Self, Error> {
        let socket = socket::open()?;
        // Beyond the system's limit where that is permitted, else up to it.
        if setsockopt(&socket, RcvBufForce, &receive_buffer).is_err() {
            SockRef::from(&socket).set_recv_buffer_size(receive_buffer)?;
        }
        SockRef::from(&socket).attach_filter(&default_routes_only())?;
        for group in GROUPS {
            socket.add_membership(group)?;
        }
        // SAFETY: the socket is moved in; it owns its descriptor, and keeps it open and the same
        // until it is dropped.
        let socket = unsafe { AsyncFd::register(socket) }.map_err(io::Error::from)?;
        let stream = Self {
            socket,
            listing: Some(Listing::default()),
            replacements: Replacements::default(),
            in_doubt: false,
        };
        stream.request(0)?;
        Ok(stream)
    }

    /// Asks for a list. The kernel takes the next request on a socket when a list is finished.
    fn request(&self, list: usize) -> io::Result<()> {
        let message = (LISTS[list].request)();
        socket::send(self.socket.get_ref(), list as u32, NLM_F_DUMP, message)
    }

    async fn receive(&self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut ready = self.socket.readable().await?;
            let received = ready.try_io(|socket| {
                let flags = MsgFlags::MSG_DONTWAIT;
                Ok(nix::sys::socket::recv(socket.as_raw_fd(), buffer, flags)?)
            });
            if let Ok(received) = received {
                return received;
            }
        }
    }

    /// Takes in a message, and returns the facts in it.
    fn message(
        &mut self,
        message: NetlinkMessage<RouteNetlinkMessage>,
    ) -> Result<Vec<Fact>, Error> {
        if let Some(listing) = &mut self.listing {
            listing.interrupted |= message.header.flags & NLM_F_DUMP_INTR != 0;
        }
        match message.payload {
            NetlinkPayload::InnerMessage(inner) => {
                let mut facts = decode::facts(message.header, inner);
                self.in_doubt |= !self.replacements.settle(&mut facts);
                if let Some(listing) = &mut self.listing {
                    facts.iter().cloned().for_each(|fact| listing.snapshot.apply(fact));
                }
                Ok(facts)
            }
            NetlinkPayload::Done(done) => {
                self.list_done(io::Error::from_raw_os_error(-done.code))?;
                Ok(Vec::new())
            }
            NetlinkPayload::Error(error) => {
                self.list_done(error.to_io())?;
                Ok(Vec::new())
            }
            _ => Ok(Vec::new()),
        }
    }

    /// Goes on to the next list, or over the same once more.
    fn list_done(&mut self, outcome: io::Error) -> Result<(), Error> {
        let Some(listing) = &mut self.listing else {
            return Ok(());
        };
        if outcome.raw_os_error() != Some(0) {
            return Err(Error::Refused { what: LISTS[listing.list].what, source: outcome });
        }
        if !std::mem::take(&mut listing.interrupted) {
            listing.list += 1;
        }
        let list = listing.list;
        if list < LISTS.len() { Ok(self.request(list)?) } else { Ok(()) }
    }

    /// The snapshot, once, when all lists have been read.
    fn finished(&mut self) -> Option<Snapshot> {
        self.listing.take_if(|listing| listing.list == LISTS.len()).map(|listing| listing.snapshot)
    }
}

const GROUPS: [u32; 6] = [
    libc::RTNLGRP_LINK,
    libc::RTNLGRP_IPV4_IFADDR,
    libc::RTNLGRP_IPV6_IFADDR,
    libc::RTNLGRP_NEIGH,
    libc::RTNLGRP_IPV4_ROUTE,
    libc::RTNLGRP_IPV6_ROUTE,
];

/// Something that the kernel lists on request.
struct List {
    what: &'static str,
    request: fn() -> RouteNetlinkMessage,
}

const LISTS: [List; 6] = [
    List { what: "links", request: || RouteNetlinkMessage::GetLink(LinkMessage::default()) },
    List {
        what: "addresses",
        request: || RouteNetlinkMessage::GetAddress(AddressMessage::default()),
    },
    List { what: "IPv4 neighbours", request: || neighbours(AddressFamily::Inet) },
    List { what: "IPv6 neighbours", request: || neighbours(AddressFamily::Inet6) },
    List { what: "IPv4 routes", request: || routes(AddressFamily::Inet) },
    List { what: "IPv6 routes", request: || routes(AddressFamily::Inet6) },
];

fn neighbours(family: AddressFamily) -> RouteNetlinkMessage {
    let mut message = NeighbourMessage::default();
    message.header.family = family;
    RouteNetlinkMessage::GetNeighbour(message)
}

fn routes(family: AddressFamily) -> RouteNetlinkMessage {
    let mut message = RouteMessage::default();
    message.header.address_family = family;
    RouteNetlinkMessage::GetRoute(message)
}

/// Keeps the changes of a BGP table out of the socket, where they would delay the loss of a
/// carrier: a notification of a route passes if its prefix length is zero.
fn default_routes_only() -> [SockFilter; 9] {
    // Offsets in `struct nlmsghdr` and, behind it, `struct rtmsg`.
    const TYPE: u32 = 4;
    const FLAGS: u32 = 6;
    const PREFIX_LENGTH: u32 = 16 + 1;
    // The filter loads in network byte order what the kernel has written in the machine's.
    let native = |value: u16| u32::from(value.to_be());
    let load_u16 = (libc::BPF_LD | libc::BPF_H | libc::BPF_ABS) as u16;
    let load_u8 = (libc::BPF_LD | libc::BPF_B | libc::BPF_ABS) as u16;
    let if_equal = (libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K) as u16;
    let if_set = (libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K) as u16;
    let accept = (libc::BPF_RET | libc::BPF_K) as u16;
    [
        SockFilter::new(load_u16, 0, 0, TYPE),
        SockFilter::new(if_equal, 1, 0, native(libc::RTM_NEWROUTE)),
        SockFilter::new(if_equal, 0, 5, native(libc::RTM_DELROUTE)),
        // Of a list, the filter sees only the first of the routes in a datagram.
        SockFilter::new(load_u16, 0, 0, FLAGS),
        SockFilter::new(if_set, 3, 0, native(NLM_F_MULTIPART)),
        SockFilter::new(load_u8, 0, 0, PREFIX_LENGTH),
        SockFilter::new(if_equal, 1, 0, 0),
        SockFilter::new(accept, 0, 0, 0),
        SockFilter::new(accept, 0, 0, u32::MAX),
    ]
}
