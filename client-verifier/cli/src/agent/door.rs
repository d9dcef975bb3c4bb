//! Who may come in: programs of this machine that mean this agent, and no page of any web site.
//!
//! A browser sends `Origin` with every request that a script could read the answer of or that
//! changes something, and a page that rebinds its name to 127.0.0.1 sends that name as `Host`. What a
//! page embeds without reading it (an image, say) carries `Sec-Fetch-Site`.

use std::net::Ipv4Addr;

use http::{HeaderMap, Uri, header, uri::Authority};

/// The names under which this agent may be addressed.
#[derive(Debug, Clone)]
pub enum Door {
    /// A loopback port.
    Port(u16),
    /// A Unix socket, which no browser reaches: the name is a formality.
    Socket,
}

/// Why a request is turned away.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Stranger {
    /// `Origin` is there.
    #[error(
        "this agent serves no web pages, and the request carries an Origin; call it from a program, not from a browser"
    )]
    Origin,
    /// `Sec-Fetch-Site` says that a page of another site asks.
    #[error(
        "this agent serves no web pages, and a browser sent the request for one; call it from a program"
    )]
    Site,
    /// No `Host`, or two.
    #[error("the request does not name one host; send exactly one Host header")]
    NoHost,
    /// Another name than this machine's.
    #[error(
        "the request is addressed to another host than this agent; use http://127.0.0.1 with the agent's port as base URL"
    )]
    Host,
}

impl Door {
    /// The authority the request was addressed to, if it may come in.
    pub fn admit(&self, uri: &Uri, headers: &HeaderMap) -> Result<Authority, Stranger> {
        if headers.contains_key(header::ORIGIN) {
            return Err(Stranger::Origin);
        }
        let mut sites = headers.get_all("sec-fetch-site").into_iter();
        if !sites.all(|site| site == "none" || site == "same-origin") {
            return Err(Stranger::Site);
        }
        let mut hosts = headers.get_all(header::HOST).into_iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Stranger::NoHost);
        };
        let host = host.to_str().ok().and_then(|host| host.parse().ok());
        let host: Authority = host.ok_or(Stranger::Host)?;
        let target = uri.authority().unwrap_or(&host);
        if !self.is_ours(&host) || !self.is_ours(target) {
            return Err(Stranger::Host);
        }
        Ok(host)
    }

    fn is_ours(&self, authority: &Authority) -> bool {
        let host = authority.host();
        let named = ["localhost", "[::1]"].iter().any(|name| host.eq_ignore_ascii_case(name))
            || host.parse::<Ipv4Addr>().is_ok_and(|address| address.is_loopback());
        let port = match self {
            Self::Port(port) => authority.port_u16().unwrap_or(80) == *port,
            Self::Socket => true,
        };
        named && port && !authority.as_str().contains('@')
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use http::HeaderValue;

    use super::*;

    fn come(door: &Door, uri: &str, pairs: &[(&'static str, &'static str)]) -> Option<Stranger> {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append(*name, HeaderValue::from_static(value));
        }
        door.admit(&uri.parse().unwrap(), &headers).err()
    }

    #[test]
    fn this_machine_s_names_come_in() {
        let door = Door::Port(4180);
        let names = ["127.0.0.1:4180", "127.8.8.8:4180", "localhost:4180", "LOCALHOST:4180"];
        for host in names.into_iter().chain(["[::1]:4180"]) {
            assert_eq!(come(&door, "/openai", &[("host", host)]), None, "{host}");
        }
        let absolute = "http://127.0.0.1:4180/openai";
        assert_eq!(come(&door, absolute, &[("host", "127.0.0.1:4180")]), None);
        assert_eq!(come(&Door::Socket, "/", &[("host", "localhost")]), None);
        assert_eq!(come(&Door::Port(80), "/", &[("host", "localhost")]), None);
    }

    #[test]
    fn an_origin_is_turned_away_whatever_it_is() {
        for origin in ["null", "http://127.0.0.1:4180", "https://evil.example", ""] {
            let pairs = [("host", "127.0.0.1:4180"), ("origin", origin)];
            assert_eq!(come(&Door::Port(4180), "/openai", &pairs), Some(Stranger::Origin));
        }
    }

    #[test]
    fn what_a_page_of_another_site_embeds_is_turned_away() {
        for (site, stranger) in [
            ("cross-site", Some(Stranger::Site)),
            ("same-site", Some(Stranger::Site)),
            ("none", None),
            ("same-origin", None),
        ] {
            let pairs = [("host", "127.0.0.1:4180"), ("sec-fetch-site", site)];
            assert_eq!(come(&Door::Port(4180), "/gemini", &pairs), stranger, "{site}");
        }
    }

    #[test]
    fn another_host_is_turned_away() {
        let door = Door::Port(4180);
        for host in [
            "evil.example:4180",
            "127.0.0.1",
            "127.0.0.1:4181",
            "127.0.0.1.evil.example:4180",
            "user@127.0.0.1:4180",
            "127.1:4180",
            "",
        ] {
            assert_eq!(come(&door, "/", &[("host", host)]), Some(Stranger::Host), "{host}");
        }
        assert_eq!(come(&door, "/", &[]), Some(Stranger::NoHost));
        let twice = [("host", "127.0.0.1:4180"), ("host", "127.0.0.1:4180")];
        assert_eq!(come(&door, "/", &twice), Some(Stranger::NoHost));
        let ours = [("host", "127.0.0.1:4180")];
        let absolute = "http://evil.example/openai";
        assert_eq!(come(&door, absolute, &ours), Some(Stranger::Host));
        let rebound = [("host", "evil.example")];
        assert_eq!(come(&Door::Socket, "/", &rebound), Some(Stranger::Host));
    }
}
