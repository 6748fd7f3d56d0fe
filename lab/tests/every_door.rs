//! Every door: proxies, edges, firewalls and bad paths, one test for each scenario that ends within a minute.
//!
//! A stage of its own in `./test`, one test at a time: some promises are times. `postern-lab run` prints the same rows,
//! and runs the long ones, too. A scenario whose feature the binary lacks prints NOT YET and proves nothing.

#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests: a failure should end the test where it happened, and rows are to be seen"
)]

use postern_lab::scenarios::{Verdict, find};

/// Runs one scenario and prints its row.
fn check(id: &str) {
    let found = find(&[id.to_owned()]).unwrap();
    let scenario = found.into_iter().find(|one| one.id == id).unwrap();
    let row = scenario.run(false);
    println!("{row}");
    assert_ne!(row.verdict, Verdict::Failed, "{}", row.text);
}

macro_rules! scenarios {
    ($($name:ident: $id:literal,)*) => {
        $(
            #[test]
            fn $name() {
                check($id);
            }
        )*

        #[test]
        fn every_short_scenario_has_a_test() {
            let tested = [$($id),*];
            let short = find(&[]).unwrap().into_iter().filter(|one| one.is_short);
            let untested: Vec<_> = short.map(|one| one.id).filter(|id| !tested.contains(id)).collect();
            assert!(untested.is_empty(), "{untested:?}");
        }
    };
}

scenarios! {
    a01_start_over_https_is_quick: "A01",
    a02_quic_wins_before_a_byte_of_https_is_sent: "A02",
    a21_two_connections_are_enough_over_http_1: "A21",
    b01_squid_with_a_port_list_lets_one_port_pass: "B01",
    b03_squid_with_digest_lets_a_known_user_pass: "B03",
    b08_squid_that_breaks_tls_open_changes_nothing: "B08",
    b13_tinyproxy_lets_messages_pass: "B13t",
    b13_privoxy_lets_messages_pass: "B13p",
    b13_apache_lets_messages_pass: "B13a",
    b13_dante_lets_messages_pass: "B13d",
    b14_inspector_that_holds_bodies_back_lets_messages_pass: "B14m",
    b15_squid_killed_under_load_loses_nothing: "B15",
    b15_squid_killed_under_load_is_back_within_five_seconds: "B15q",
    b16_haproxy_passes_bytes: "B16h",
    b16_haproxy_as_an_edge_lets_messages_pass: "B16e",
    b16_nginx_edge_with_http_11_lets_messages_pass: "B16n",
    b16_nginx_edge_with_http_10_lets_messages_pass: "B16o",
    b16_nginx_passes_bytes: "B16s",
    c01_only_the_proxy_is_open_and_is_enough: "C01",
    c02_udp_dropped_costs_little: "C02",
    c03_udp_rejected_costs_little: "C03",
    c05_ipv6_black_hole_costs_little: "C05",
    c09_wire_with_five_percent_loss_loses_nothing: "C09b",
    c10_transparent_inspection_is_refused_without_its_authority: "C10",
    c11_portal_is_not_believed_and_left_when_it_opens: "C11",
    c12_three_connections_are_enough: "C12",
    c13_relay_takes_over_when_the_controller_is_dropped: "C13",
    c15_rogue_wpad_is_ignored: "C15",
    c17_silent_cut_loses_nothing: "C17",
    c18_black_hole_lets_large_values_pass_where_hosts_probe: "C18p",
    c18_black_hole_lets_large_values_pass: "C18",
    c18_black_hole_lets_large_values_pass_over_tcp_alone: "C18t",
    c19_changing_nat_ports_lose_nothing: "C19",
}
