//! The unmodified production binary, which knows no simulator: its auth state is seeded with the
//! simulator's leaf certificate, so that it logs in by the IK handshake as it would at WhatsApp.

use std::path::PathBuf;

use whatsapp_worker::rehearsal::give_credentials;

use crate::theatre::Theatre;

/// `./test` builds it beside the simulator build, which has the same name in the target directory.
fn production_binary() -> PathBuf {
    let path = std::env::var_os("WHATSAPP_WORKER_PRODUCTION").map(PathBuf::from);
    let path = path.expect("WHATSAPP_WORKER_PRODUCTION names a build without features: run ./test");
    assert!(
        path.is_file(),
        "{} is not there: run ./test",
        path.display()
    );
    path
}

#[tokio::test]
async fn the_production_binary_receives_queues_and_restarts() {
    let mut theatre = Theatre::open().await;
    theatre.stage.binary = production_binary();
    theatre.check_receipts().await;
    let store = theatre.store().await;
    give_credentials(
        &theatre.sim,
        &theatre.shop,
        &theatre.account,
        &theatre.stage.auth_dir(),
        store.store_id(),
    )
    .await
    .expect("linked");
    let mut worker = theatre.stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    let mut ids = vec![theatre.text("to production")];
    theatre.jobs_of(&ids).await;
    assert_eq!(worker.terminate().await.expect("ours"), Some(0));
    ids.push(theatre.text("while it is away"));
    let worker = theatre.stage.start("one").expect("starts");
    theatre.connected(&worker, 1).await;
    ids.push(theatre.text("after the restart"));
    theatre.assert_each_queued_once(&ids).await;
    assert_eq!(worker.count("whatsapp.qr.available"), 0);
}
