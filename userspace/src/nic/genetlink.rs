//! Requests of generic netlink (linux/genetlink.h), which the kernel answers while they are sent.

use std::io;

use netlink_packet_core::{
    DecodeError, DefaultNla, Emitable as _, NLA_F_NESTED, NLM_F_ACK, NLM_F_REQUEST,
    NetlinkDeserializable, NetlinkHeader, NetlinkMessage, NetlinkPayload, NetlinkSerializable,
    NlasIterator,
};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_GENERIC};

use super::Error;

/// The family that knows the others, its request for one, and that request's attributes.
const CONTROLLER: u16 = 0x10;
const GET_FAMILY: u8 = 3;
const FAMILY_ID: u16 = 1;
const FAMILY_NAME: u16 = 2;

/// The length of `struct genlmsghdr`: command, version, and two bytes of nothing.
const HEADER: usize = 4;
/// The length of `struct nlattr`: length and kind.
const ATTRIBUTE_HEADER: usize = 4;
/// The families that are used here are of this version, and the kernel does not look at it.
const VERSION: u8 = 1;

/// A family of requests, by a socket of its own.
pub(super) struct Family {
    socket: Socket,
    id: u16,
}

impl Family {
    /// Finds the family with this name, which comes with the kernel that `needs` says.
    pub(super) fn open(family: &'static str, needs: &'static str) -> Result<Self, Error> {
        let socket = Socket::new(NETLINK_GENERIC).map_err(Error::Socket)?;
        let controller = Self { socket, id: CONTROLLER };
        let name = attribute(FAMILY_NAME, [family.as_bytes(), &[0]].concat());
        let answer = controller.get(GET_FAMILY, name).map_err(|error| match error {
            Error::Refused(error) if error.raw_os_error() == Some(libc::ENOENT) => {
                Error::NoFamily { family, needs }
            }
            error => error,
        })?;
        let id = find(&answer, FAMILY_ID).and_then(|value| value.try_into().ok());
        let id = u16::from_ne_bytes(id.ok_or(Error::Answer("family"))?);
        Ok(Self { id, ..controller })
    }

    /// Asks with these attributes, and returns those of the answer.
    pub(super) fn get(&self, command: u8, attributes: Vec<u8>) -> Result<Vec<u8>, Error> {
        match self.exchange(command, 0, attributes)? {
            NetlinkPayload::InnerMessage(answer) => Ok(answer.attributes),
            NetlinkPayload::Error(error) => Err(Error::Refused(error.to_io())),
            _ => Err(Error::Answer("content")),
        }
    }

    /// Demands something with these attributes. The command has no answer but whether it is done.
    pub(super) fn set(&self, command: u8, attributes: Vec<u8>) -> Result<(), Error> {
        match self.exchange(command, NLM_F_ACK, attributes)? {
            NetlinkPayload::Error(error) if error.code.is_none() => Ok(()),
            NetlinkPayload::Error(error) => Err(Error::Refused(error.to_io())),
            _ => Err(Error::Answer("acknowledgement")),
        }
    }

    fn exchange(
        &self,
        command: u8,
        flags: u16,
        attributes: Vec<u8>,
    ) -> Result<NetlinkPayload<Message>, Error> {
        let mut header = NetlinkHeader::default();
        header.flags = NLM_F_REQUEST | flags;
        let message = Message { family: self.id, command, attributes };
        let mut request = NetlinkMessage::new(header, NetlinkPayload::InnerMessage(message));
        request.finalize();
        let mut bytes = vec![0; request.buffer_len()];
        request.serialize(&mut bytes);
        let answer = || -> io::Result<Vec<u8>> {
            self.socket.send_to(&bytes, &SocketAddr::new(0, 0), 0)?;
            Ok(self.socket.recv_from_full()?.0)
        };
        let answer = answer().map_err(Error::Socket)?;
        let answer = NetlinkMessage::deserialize(&answer);
        Ok(answer.map_err(|_| Error::Answer("sense"))?.payload)
    }
}

/// A message of a family.
#[derive(Debug)]
struct Message {
    family: u16,
    command: u8,
    attributes: Vec<u8>,
}

impl NetlinkSerializable for Message {
    fn message_type(&self) -> u16 {
        self.family
    }

    fn buffer_len(&self) -> usize {
        HEADER + self.attributes.len()
    }

    fn serialize(&self, buffer: &mut [u8]) {
        let (header, attributes) = buffer.split_at_mut(HEADER);
        header.copy_from_slice(&[self.command, VERSION, 0, 0]);
        attributes.copy_from_slice(&self.attributes);
    }
}

impl NetlinkDeserializable for Message {
    type Error = DecodeError;

    fn deserialize(header: &NetlinkHeader, payload: &[u8]) -> Result<Self, DecodeError> {
        let (&[command, ..], attributes) = payload
            .split_first_chunk::<HEADER>()
            .ok_or_else(|| DecodeError::from("a generic message without its header"))?;
        Ok(Self { family: header.message_type, command, attributes: attributes.to_vec() })
    }
}

/// An attribute as the kernel takes it, padded.
pub(super) fn attribute(kind: u16, value: Vec<u8>) -> Vec<u8> {
    let attribute = DefaultNla::new(kind, value);
    let mut bytes = vec![0; attribute.buffer_len()];
    attribute.emit(&mut bytes);
    bytes
}

/// An attribute that holds others.
pub(super) fn nested(kind: u16, attributes: Vec<u8>) -> Vec<u8> {
    attribute(kind | NLA_F_NESTED, attributes)
}

/// The attributes in `bytes`, each with its kind, up to one that makes no sense.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    NlasIterator::new(bytes).map_while(Result::ok).filter_map(|attribute| {
        let (kind, length) = (attribute.kind(), usize::from(attribute.length()));
        Some((kind, attribute.into_inner().get(ATTRIBUTE_HEADER..length)?))
    })
}

/// The value of the first attribute of this kind.
pub(super) fn find(bytes: &[u8], kind: u16) -> Option<&[u8]> {
    attributes(bytes).find(|(found, _)| *found == kind).map(|(_, value)| value)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn what_is_written_is_found_again() {
        let inner = [attribute(1, vec![7]), attribute(2, b"rx-lro\0".to_vec())].concat();
        let bytes = [attribute(5, Vec::new()), nested(3, inner)].concat();
        assert_eq!(bytes.len() % 4, 0);
        let found = find(&bytes, 3).unwrap();
        assert_eq!(find(found, 2), Some(b"rx-lro\0".as_slice()));
        assert_eq!(find(found, 1), Some([7].as_slice()));
        assert_eq!(find(found, 4), None);
    }

    #[test]
    fn a_message_without_its_header_is_an_error() {
        let header = NetlinkHeader::default();
        assert!(Message::deserialize(&header, &[1, 1, 0]).is_err());
        assert_eq!(Message::deserialize(&header, &[9, 1, 0, 0, 5]).unwrap().attributes, [5]);
    }

    proptest! {
        #[test]
        fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            for (_, value) in attributes(&bytes) {
                let _ = attributes(value).count();
            }
        }
    }
}
