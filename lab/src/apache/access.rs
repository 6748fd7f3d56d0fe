//! Reads the access log of a front: one line an exchange, in the form that [`FORMAT`] asks Apache for. It refuses to
//! guess: a line that does not have all fields is left out, because the last one may still be half written.

/// What Apache writes for each exchange: method, status, announced bytes of the request's body, milliseconds.
pub(super) const FORMAT: &str = "%m %>s %{Content-Length}i %{ms}T";

/// One exchange as the front saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrontLine {
    /// Request method.
    pub method: String,
    /// Status that the client got.
    pub status: u16,
    /// Content-Length of the request; `None` when it had none.
    pub request_bytes: Option<u64>,
    /// How long it took, in milliseconds.
    pub elapsed_ms: u64,
}

impl FrontLine {
    /// Reads all complete lines.
    pub(super) fn parse_all(log: &str) -> Vec<Self> {
        let complete = log
            .rfind('\n')
            .and_then(|end| log.get(..end))
            .unwrap_or_default();
        complete.lines().filter_map(Self::parse).collect()
    }

    fn parse(line: &str) -> Option<Self> {
        let mut fields = line.split(' ');
        let parsed = Self {
            method: fields.next()?.to_owned(),
            status: fields.next()?.parse().ok()?,
            request_bytes: match fields.next()? {
                "-" => None,
                number => Some(number.parse().ok()?),
            },
            elapsed_ms: fields.next()?.parse().ok()?,
        };
        fields.next().is_none().then_some(parsed)
    }
}

#[cfg(test)]
mod tests {
    use super::FrontLine;

    #[test]
    fn front_log_line_is_read_field_by_field() {
        let line = |status, request_bytes| FrontLine {
            method: "POST".to_owned(),
            status,
            request_bytes,
            elapsed_ms: 12,
        };
        let log = "POST 200 40 12\nPOST 411 - 12\n";
        let expected = vec![line(200, Some(40)), line(411, None)];
        assert_eq!(FrontLine::parse_all(log), expected);
    }

    #[test]
    fn front_log_lines_that_are_not_whole_are_left_out() {
        let check = |log: &str| assert_eq!(FrontLine::parse_all(log), Vec::new(), "{log:?}");
        check("");
        check("\n");
        check("POST 200 40 12");
        check("POST 200 40\n");
        check("POST ok 40 12\n");
        check("POST 200 many 12\n");
        check("POST 200 40 12 13\n");
    }
}
