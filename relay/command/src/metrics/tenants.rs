//! How near tenants are to their quotas, by rank: the fullest one first.
//!
//! Whoever scrapes learns that some tenant fills up, never which one: `postern-relay tenants` shows that. Refuses more
//! ranks than its labels.

use crate::operable::TenantStanding;
use postern_relay::metrics::Sample;
use std::cmp::Reverse;

/// The ranks that are shown, the fullest first. Arbitrary: a screen of them; tenants beyond are counted.
const RANKS: [&str; 8] = ["1", "2", "3", "4", "5", "6", "7", "8"];

/// Returns bytes and quotas of the fullest tenants, and how many tenants have a quota and have none.
pub(super) fn samples(tenants: &[TenantStanding]) -> Vec<Sample> {
    let quotas = tenants
        .iter()
        .filter_map(|one| Some((one.bytes, one.quota_bytes?)));
    let mut quotas: Vec<(u64, u64)> = quotas.collect();
    quotas.sort_by_key(|(bytes, quota)| Reverse((share(*bytes, *quota), *bytes)));
    let sample = |name, label, value| Sample {
        name,
        label: Some(label),
        value,
    };
    let ranked = || RANKS.into_iter().zip(&quotas);
    let bytes = ranked()
        .map(|(rank, (bytes, _))| sample("postern_relay_tenant_bytes", ("rank", rank), *bytes));
    let maxima = ranked()
        .map(|(rank, (_, quota))| sample("postern_relay_tenant_bytes_max", ("rank", rank), *quota));
    let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
    let without = tenants.len().saturating_sub(quotas.len());
    let counts = [("own", quotas.len()), ("none", without)]
        .map(|(quota, tenants)| sample("postern_relay_tenants", ("quota", quota), count(tenants)));
    bytes.chain(maxima).chain(counts).collect()
}

/// The part of a quota that is used, in millionths; more than all where a quota was lowered.
fn share(bytes: u64, quota: u64) -> u128 {
    u128::from(bytes) * 1_000_000 / u128::from(quota.max(1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tenant(number: u64, bytes: u64, quota_bytes: Option<u64>) -> TenantStanding {
        TenantStanding {
            tenant: format!("plant-{number}"),
            is_connected: true,
            contact_age_s: None,
            devices: 1,
            sessions: 1,
            bytes,
            quota_bytes,
            queued_bytes: 0,
            arrivals: 0,
            cursor: 0,
        }
    }

    fn check(tenants: &[TenantStanding], expected: &[(&str, &str, u64)]) {
        let shown = samples(tenants).into_iter();
        let shown: Vec<_> = shown
            .map(|sample| {
                (
                    sample.name,
                    sample.label.map_or("", |it| it.1),
                    sample.value,
                )
            })
            .collect();
        assert_eq!(shown, expected);
    }

    #[test]
    fn tenants_stand_in_the_order_of_how_full_they_are() {
        check(
            &[
                tenant(1, 900, Some(1_000_000)),
                tenant(2, 70, Some(100)),
                tenant(3, 300, Some(200)),
                tenant(4, u64::MAX, None),
            ],
            &[
                ("postern_relay_tenant_bytes", "1", 300),
                ("postern_relay_tenant_bytes", "2", 70),
                ("postern_relay_tenant_bytes", "3", 900),
                ("postern_relay_tenant_bytes_max", "1", 200),
                ("postern_relay_tenant_bytes_max", "2", 100),
                ("postern_relay_tenant_bytes_max", "3", 1_000_000),
                ("postern_relay_tenants", "own", 3),
                ("postern_relay_tenants", "none", 1),
            ],
        );
    }

    #[test]
    fn tenants_without_a_quota_have_no_rank() {
        check(
            &[tenant(1, 900, None)],
            &[
                ("postern_relay_tenants", "own", 0),
                ("postern_relay_tenants", "none", 1),
            ],
        );
    }

    #[test]
    fn series_do_not_grow_with_the_tenants_and_largest_numbers_are_carried() {
        let tenants: Vec<_> = (0..10_000)
            .map(|number| tenant(number, u64::MAX, Some(number)))
            .collect();
        assert_eq!(samples(&tenants).len(), 2 * RANKS.len() + 2);
    }
}
