//! A relay whose disk was lost, or put back from an old copy: it says so by its store epoch.
//!
//! Nothing that a device posts afterwards hides below the cursor of its writer.

use super::site::{Place, report};
use postern_protocol::Reject;

#[tokio::test]
async fn relay_that_lost_its_disk_says_so_by_another_store_and_is_filled_again() {
    let place = Place::new();
    let relay = place.start();
    let mut writer = relay.writer(1).await;
    relay.admit(&mut writer).await;
    let mut device = relay.device(2).await;
    assert_eq!(relay.post(&mut device, &[report(1)]).await, []);
    let (store, entries) = relay.collect(&mut writer, 0, (0, 0)).await;
    assert_eq!(entries.len(), 1);
    relay.relay.shutdown(100).await;
    std::fs::remove_file(place.store()).unwrap();

    let relay = place.start();
    let mut writer = relay.writer(3).await;
    let (empty, entries) = relay.collect(&mut writer, 300, (store, 1)).await;
    assert_ne!(empty, store);
    assert_eq!(entries, []);
    let refused = relay.try_device(4).await.map(|_| ());
    assert_eq!(refused, Err(Reject::NotAdmitted.code()));
    relay.admit(&mut writer).await;
    let mut device = relay.device(5).await;
    assert_eq!(relay.post(&mut device, &[report(2)]).await, []);
    let (_, entries) = relay.collect(&mut writer, 0, (empty, 0)).await;
    assert_eq!(entries, [(1, report(2))]);
    relay.relay.shutdown(100).await;
}

#[tokio::test]
async fn relay_restored_from_an_old_copy_hides_nothing_below_the_cursor_of_its_writer() {
    let place = Place::new();
    let relay = place.start();
    let mut writer = relay.writer(1).await;
    relay.admit(&mut writer).await;
    let mut device = relay.device(2).await;
    assert_eq!(relay.post(&mut device, &[report(1)]).await, []);
    relay.relay.shutdown(100).await;
    let copy = std::fs::read(place.store()).unwrap();

    let relay = place.start();
    let mut writer = relay.writer(3).await;
    let mut device = relay.device(4).await;
    for rseq in 2..6 {
        assert_eq!(relay.post(&mut device, &[report(rseq)]).await, []);
    }
    let (store, entries) = relay.collect(&mut writer, 0, (0, 0)).await;
    assert_eq!(entries, [(5, report(5))]);
    relay.relay.shutdown(100).await;
    std::fs::write(place.store(), copy).unwrap();

    let relay = place.start();
    let mut writer = relay.writer(5).await;
    let mut device = relay.device(6).await;
    assert_eq!(relay.post(&mut device, &[report(6)]).await, []);
    // Under the old number the new report, arrival 2, would never come.
    let (again, _) = relay.collect(&mut writer, 300, (store, 5)).await;
    assert_ne!(again, store);
    let (_, entries) = relay.collect(&mut writer, 0, (again, 0)).await;
    assert_eq!(entries, [(2, report(6))]);
    relay.relay.shutdown(100).await;
    let relay = place.start();
    let mut writer = relay.writer(7).await;
    assert_eq!(
        relay.collect(&mut writer, 0, (again, 2)).await,
        (again, Vec::new())
    );
    relay.relay.shutdown(100).await;
}
