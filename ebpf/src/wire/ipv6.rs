/// Where the destination address stands, from the start of an IPv6 header (RFC 8200 section 3).
pub const IPV6_DESTINATION: usize = 24;
