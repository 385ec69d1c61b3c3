use domain::base::Name;
use proptest::prelude::*;

use super::*;

const ADDRESS: IpAddr = IpAddr::V4(std::net::Ipv4Addr::new(192, 0, 2, 80));

fn probe(record: DnsRecord, expect: Option<IpAddr>) -> DnsProbe {
    let name = "example.net".parse().expect("a name");
    DnsProbe { server: ([192, 0, 2, 53], 53).into(), name, record, expect }
}

fn name(text: &str) -> Name<Vec<u8>> {
    text.parse().expect("a name")
}

/// What a server says that knows these addresses of the name, by way of another name.
fn answer(query: &Message<Vec<u8>>, addresses: &[IpAddr]) -> Vec<u8> {
    let mut message =
        MessageBuilder::new_vec().start_answer(query, Rcode::NOERROR).expect("there is room");
    let canonical = domain::rdata::Cname::new(name("www.example.net"));
    message.push((name("example.net"), 60, canonical)).expect("there is room");
    for address in addresses {
        let owner = name("www.example.net");
        match address {
            IpAddr::V4(address) => message.push((owner, 60, A::new(*address))),
            IpAddr::V6(address) => message.push((owner, 60, Aaaa::new(*address))),
        }
        .expect("there is room");
    }
    message.finish()
}

fn refusal(query: &Message<Vec<u8>>, rcode: Rcode) -> Vec<u8> {
    MessageBuilder::new_vec().start_answer(query, rcode).expect("there is room").finish()
}

#[test]
fn a_query_is_laid_out_as_the_rfc_says() {
    let query = query(&probe(DnsRecord::Aaaa, None), 0x1234);
    let mut expected = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0, 7];
    expected.extend(b"example\x03net\x00");
    expected.extend([0, 28, 0, 1]);
    assert_eq!(query.as_slice(), expected);
}

#[test]
fn an_address_of_the_name_is_the_answer() {
    let address6: IpAddr = "2001:db8::80".parse().expect("an address");
    for (record, address) in [(DnsRecord::A, ADDRESS), (DnsRecord::Aaaa, address6)] {
        for expect in [None, Some(address)] {
            let probe = probe(record, expect);
            let query = query(&probe, 7);
            let answer = answer(&query, &[[192, 0, 2, 81].into(), address6, address]);
            assert_eq!(judge(&probe, &query, &answer), Some(Ok(())));
        }
    }
}

#[test]
fn it_says_what_is_wrong_with_an_answer() {
    let probe = probe(DnsRecord::A, Some(ADDRESS));
    let query = query(&probe, 7);
    let other = "2001:db8::80".parse().expect("an address");
    let mut truncated = answer(&query, &[]);
    truncated[2] |= 2;
    let mut cut = answer(&query, &[ADDRESS]);
    cut.pop();
    for (datagram, wrong) in [
        (refusal(&query, Rcode::NXDOMAIN), "NXDOMAIN"),
        (refusal(&query, Rcode::SERVFAIL), "SERVFAIL"),
        (answer(&query, &[other]), "no A record"),
        (answer(&query, &[[192, 0, 2, 81].into()]), "192.0.2.81, and not 192.0.2.80"),
        (truncated, "no address fits in the datagram"),
        (cut, "an answer that makes no sense: unexpected end of input"),
    ] {
        assert_eq!(judge(&probe, &query, &datagram), Some(Err(wrong.to_owned())));
    }
}

#[test]
fn what_is_no_answer_to_the_query_does_not_count() {
    let probe = probe(DnsRecord::A, None);
    let query = query(&probe, 7);
    let mut other_id = answer(&query, &[ADDRESS]);
    other_id[1] ^= 1;
    let mut other_name = answer(&query, &[ADDRESS]);
    other_name[13] = b'f';
    let mut other_type = answer(&query, &[ADDRESS]);
    other_type[26] = 28;
    for datagram in [query.as_slice(), &other_id, &other_name, &other_type, &[], &[0; 11]] {
        assert_eq!(judge(&probe, &query, datagram), None, "{datagram:?}");
    }
    // Servers may keep the case of names or not.
    let mut other_case = answer(&query, &[ADDRESS]);
    other_case[13] = b'E';
    assert_eq!(judge(&probe, &query, &other_case), Some(Ok(())));
}

proptest! {
    #[test]
    fn no_datagram_makes_it_panic(
        rest in proptest::collection::vec(any::<u8>(), 0..80),
        flags in any::<u8>(),
        answers in any::<u8>(),
    ) {
        let probe = probe(DnsRecord::A, None);
        let query = query(&probe, 7);
        let _ = judge(&probe, &query, &rest);
        let mut datagram = [query.as_slice(), &rest].concat();
        (datagram[2], datagram[7]) = (0x80 | flags, answers);
        let _ = judge(&probe, &query, &datagram);
    }
}
