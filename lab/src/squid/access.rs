//! Reads Squid's native access log: one line an exchange, ten fields. It refuses to guess: a line that does not have
//! them is left out, because the last one may still be half written.

/// One exchange as the proxy saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccessLine {
    /// How long the exchange took, in milliseconds.
    pub elapsed_ms: u64,
    /// What Squid did: `TCP_TUNNEL`, `TCP_DENIED`, `TCP_MISS`, `NONE`.
    pub action: String,
    /// Status that the client got; 0 when it got none.
    pub status: u16,
    /// Bytes sent to the client, head included.
    pub bytes: u64,
    /// Request method: `CONNECT`, or the inner one where TLS was ended.
    pub method: String,
    /// `host:port` of a CONNECT, the full URL otherwise.
    pub target: String,
    /// The authenticated user, if any.
    pub user: Option<String>,
}

impl AccessLine {
    /// Reads all complete lines.
    pub(super) fn parse_all(log: &str) -> Vec<Self> {
        let complete = log
            .rfind('\n')
            .and_then(|end| log.get(..end))
            .unwrap_or_default();
        complete.lines().filter_map(Self::parse).collect()
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split_ascii_whitespace().skip(1);
        let elapsed_ms = fields.next()?.parse().ok()?;
        let _client = fields.next()?;
        let (action, status) = fields.next()?.split_once('/')?;
        let bytes = fields.next()?.parse().ok()?;
        let method = fields.next()?.to_owned();
        let target = fields.next()?.to_owned();
        let user = Some(fields.next()?)
            .filter(|user| *user != "-")
            .map(str::to_owned);
        Some(Self {
            elapsed_ms,
            action: action.to_owned(),
            status: status.parse().ok()?,
            bytes,
            method,
            target,
            user,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::AccessLine;

    #[test]
    fn access_log_line_is_read_field_by_field() {
        let log = "1700000000.123   1578 127.0.0.1 TCP_TUNNEL/200 3120 CONNECT controller.test:8443 alice HIER_DIRECT/127.0.0.1 -\n";
        let expected = AccessLine {
            elapsed_ms: 1578,
            action: "TCP_TUNNEL".to_owned(),
            status: 200,
            bytes: 3120,
            method: "CONNECT".to_owned(),
            target: "controller.test:8443".to_owned(),
            user: Some("alice".to_owned()),
        };
        assert_eq!(AccessLine::parse_all(log), vec![expected]);
    }

    #[test]
    fn access_log_lines_that_are_not_whole_are_left_out() {
        let check = |log: &str| assert_eq!(AccessLine::parse_all(log), Vec::new(), "{log:?}");
        check("");
        check("\n");
        check("1.0 1 127.0.0.1 TCP_TUNNEL/200 3120 CONNECT a:1 - HIER_NONE/- -");
        check("1.0 1 127.0.0.1 TCP_TUNNEL/200 3120 CONNECT\n");
        check("1.0 1 127.0.0.1 TCP_TUNNEL 3120 CONNECT a:1 - HIER_NONE/- -\n");
        check("1.0 1 127.0.0.1 TCP_TUNNEL/ok 3120 CONNECT a:1 - HIER_NONE/- -\n");
        check("1.0 1 127.0.0.1 TCP_TUNNEL/200 many CONNECT a:1 - HIER_NONE/- -\n");
        check("1.0 long 127.0.0.1 TCP_TUNNEL/200 3120 CONNECT a:1 - HIER_NONE/- -\n");
    }
}
