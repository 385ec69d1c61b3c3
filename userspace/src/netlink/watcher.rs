use std::collections::{BTreeSet, VecDeque};
use std::io;
use std::os::fd::AsRawFd as _;

use netlink_packet_core::{
    NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_MULTIPART, NetlinkBuffer, NetlinkPayload,
};
use netlink_packet_route::address::AddressMessage;
use netlink_packet_route::link::LinkMessage;
use netlink_packet_route::neighbour::NeighbourMessage;
use netlink_packet_route::route::RouteMessage;
use netlink_packet_route::{AddressFamily, RouteNetlinkMessage};
use netlink_sys::Socket;
use nix::sys::socket::{MsgFlags, setsockopt, sockopt::RcvBufForce};
use socket2::SockRef;
use tokio::io::unix::AsyncFd;

use super::followed::Followed;
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

/// Follows the kernel's links, addresses, neighbours and default routes, and of some interfaces the
/// IPv4 routes to prefixes, too.
///
/// Of those routes the kernel does not tell that it drops them because their nexthop object is gone, or
/// the source address that they name and another interface had; nor where a nexthop object leads, if
/// `net.ipv4.nexthop_compat_mode` is 0; nor that a next hop beside those of other interfaces works
/// again, because its own interface has an address again.
///
/// One socket carries both the lists and the notifications, so they come in the order in which
/// things happened.
pub struct Watcher {
    stream: Stream,
    receive_buffer: usize,
    /// The names of the interfaces whose routes are followed.
    followed: BTreeSet<String>,
    /// Whether a snapshot has been handed out, so that facts mean something.
    announced: bool,
    updates: VecDeque<Update>,
    buffer: Vec<u8>,
}

/// Room for some ten thousand notifications that the daemon has not read yet, in bytes.
const RECEIVE_BUFFER: usize = 8 << 20;

impl Watcher {
    /// Subscribes in the calling thread's network namespace, to the routes of the interfaces of these
    /// names as well. Runs in a Tokio runtime with I/O.
    ///
    /// # Errors
    /// [`Error::Open`] or [`Error::Io`] if the kernel gives no such socket.
    pub fn new(followed: BTreeSet<String>) -> Result<Self, Error> {
        Self::with_receive_buffer(followed, RECEIVE_BUFFER)
    }

    /// [`Watcher::new`] with room for so many bytes of notifications.
    ///
    /// # Errors
    /// As [`Watcher::new`].
    pub fn with_receive_buffer(
        followed: BTreeSet<String>,
        receive_buffer: usize,
    ) -> Result<Self, Error> {
        Ok(Self {
            stream: Stream::open(receive_buffer, &followed)?,
            receive_buffer,
            followed,
            announced: false,
            updates: VecDeque::new(),
            buffer: vec![0; DATAGRAM],
        })
    }

    /// Follows the routes of the interfaces of these names from now on. Where they are other ones, all
    /// is listed again.
    pub fn follow(&mut self, followed: BTreeSet<String>) {
        if followed != self.followed {
            self.followed = followed;
            self.stream.doubt = Some("other interfaces are the LAN's");
        }
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
            if let Some(doubt) = self.stream.doubt {
                log::info!("{doubt}; listing everything again");
                self.stream = Stream::open(self.receive_buffer, &self.followed)?;
            }
            match self.stream.receive(&mut self.buffer).await {
                Ok(length) => self.datagram(length)?,
                // A new socket has neither stale notifications in it nor an unfinished list.
                Err(error) if error.raw_os_error() == Some(libc::ENOBUFS) => {
                    log::warn!(
                        "the kernel has thrown notifications away; listing everything again"
                    );
                    self.stream = Stream::open(self.receive_buffer, &self.followed)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    fn datagram(&mut self, length: usize) -> Result<(), Error> {
        for message in socket::encoded(&self.buffer[..length]) {
            let Ok(message) = NetlinkBuffer::new_checked(message) else { continue };
            let listed = message.flags() & NLM_F_MULTIPART != 0;
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
        Ok(())
    }
}

/// A subscribed socket, and the lists that are being read from it.
struct Stream {
    socket: AsyncFd<Socket>,
    listing: Option<Listing>,
    replacements: Replacements,
    followed: Followed,
    /// Why the notifications do not tell what holds now, where only a new list does.
    doubt: Option<&'static str>,
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
    fn open(receive_buffer: usize, followed: &BTreeSet<String>) -> Result<Self, Error> {
        let socket = socket::open()?;
        // Beyond the system's limit where that is permitted, else up to it.
        if setsockopt(&socket, RcvBufForce, &receive_buffer).is_err() {
            SockRef::from(&socket).set_recv_buffer_size(receive_buffer)?;
        }
        let followed = Followed::new(followed.clone());
        SockRef::from(&socket).attach_filter(&followed.filter())?;
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
            followed,
            doubt: None,
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
    fn message(&mut self, message: NetlinkBuffer<&[u8]>) -> Result<Vec<Fact>, Error> {
        if let Some(listing) = &mut self.listing {
            listing.interrupted |= message.flags() & NLM_F_DUMP_INTR != 0;
        }
        if !self.followed.concerns(&message) {
            return Ok(Vec::new());
        }
        let Some(message) = socket::decode(message.into_inner()) else { return Ok(Vec::new()) };
        match message.payload {
            NetlinkPayload::InnerMessage(inner) => {
                let mut facts = decode::facts(message.header, inner);
                if !self.replacements.settle(&mut facts) {
                    self.doubt = Some("an IPv6 default route may have replaced one of several");
                }
                if let Some(doubt) = self.followed.settle(&mut facts) {
                    self.follow(doubt)?;
                }
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

    /// Lets in the routes of all interfaces that are followed now.
    fn follow(&mut self, doubt: &'static str) -> io::Result<()> {
        SockRef::from(self.socket.get_ref()).attach_filter(&self.followed.filter())?;
        // Links are listed first, and routes after that.
        if self.listing.as_ref().is_none_or(|listing| listing.list > 0) {
            self.doubt = Some(doubt);
        }
        Ok(())
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
