//! Files that wait to be sent.

use whatsapp_worker::ids::UploadId;

use super::Bench;

on_every_engine!(
    a_file_is_read_back_in_pieces_as_it_was_written,
    a_file_that_is_not_whole_cannot_be_used,
    a_file_that_nothing_used_for_a_day_goes,
);

async fn bytes(bench: &Bench, id: &UploadId) -> Vec<u8> {
    let mut bytes = Vec::new();
    for piece in 0.. {
        match bench.store.upload_piece(id, piece).await.expect("answers") {
            Some(piece) => bytes.extend(piece),
            None => break,
        }
    }
    bytes
}

pub async fn upload(bench: &Bench, bytes: &[u8]) -> UploadId {
    let mut writer = bench.store.begin_upload().await.expect("begins");
    writer.write(bytes).await.expect("writes");
    let upload = writer.finish("image/png", Some("a.png")).await;
    upload.expect("finishes").id
}

async fn a_file_is_read_back_in_pieces_as_it_was_written(bench: &Bench) {
    let file: Vec<u8> = (0..700_001_u32).map(|n| n as u8).collect();
    let mut writer = bench.store.begin_upload().await.expect("begins");
    for part in file.chunks(99_991) {
        writer.write(part).await.expect("writes");
    }
    let upload = writer.finish("image/png", Some("a\0.png")).await;
    let upload = upload.expect("finishes");
    assert_eq!(upload.size, 700_001);
    let hash = ring::digest::digest(&ring::digest::SHA256, &file);
    assert_eq!(upload.sha256, hex::encode(hash));
    let elsewhere = bench.another().await;
    let used = elsewhere.use_upload(&upload.id).await.expect("answers");
    assert_eq!(used, Some(upload.clone()));
    assert_eq!(upload.name.as_deref(), Some("a\u{fffd}.png"));
    assert_eq!(bytes(bench, &upload.id).await, file);
    elsewhere.close().await;
}

async fn a_file_that_is_not_whole_cannot_be_used(bench: &Bench) {
    let mut writer = bench.store.begin_upload().await.expect("begins");
    writer.write(&[1; 300_000]).await.expect("writes");
    assert_eq!(
        bench
            .sql("UPDATE uploads SET size = 1")
            .await
            .expect("runs"),
        1
    );
    let id = bench.store.use_upload(&UploadId::new()).await;
    assert_eq!(id.expect("answers"), None);
    writer.abandon().await.expect("answers");
    for table in ["uploads", "upload_chunks"] {
        let left = bench.sql(&format!("DELETE FROM {table}")).await;
        assert_eq!(left.expect("runs"), 0, "{table}");
    }
}

async fn a_file_that_nothing_used_for_a_day_goes(bench: &Bench) {
    let old = upload(bench, &[1; 10]).await;
    let used = upload(bench, &[2; 10]).await;
    let fresh = upload(bench, &[3; 10]).await;
    let age = format!(
        "UPDATE uploads SET used_at = used_at - 86400001 WHERE upload_id <> '{}'",
        fresh.as_str()
    );
    assert_eq!(bench.sql(&age).await.expect("runs"), 2);
    let again = bench.store.use_upload(&used).await.expect("answers");
    assert!(again.is_some());
    assert_eq!(bench.store.prune_uploads(10).await.expect("answers"), 1);
    assert_eq!(bench.store.prune_uploads(10).await.expect("answers"), 0);
    let left = async |id| bench.store.use_upload(id).await.expect("answers").is_some();
    assert!(!left(&old).await);
    assert!(left(&used).await && left(&fresh).await);
    assert_eq!(bytes(bench, &old).await, Vec::<u8>::new());
    assert_eq!(bytes(bench, &used).await, vec![2; 10]);
}
