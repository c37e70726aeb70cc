//! The gate alone, with nothing above it that would notice the end of trust first.

use super::*;

async fn gate(trust: &Trust) -> (Gate, TcpStream) {
    let (listener, port) = listen().await;
    let ours = TcpStream::connect(("127.0.0.1", port))
        .await
        .expect("connect");
    let (theirs, _) = listener.accept().await.expect("accept");
    (Gate::new(ours, trust.clone()), theirs)
}

fn is_refusal<T>(outcome: io::Result<T>) -> bool {
    outcome.is_err_and(|error| TrustEnded::is_cause_of(&error))
}

#[tokio::test]
async fn it_passes_bytes_while_trust_holds_and_none_afterwards() {
    let trust = trusted_for(HOUR);
    let (mut gate, mut peer) = gate(&trust).await;
    gate.write_all(b"before").await.expect("trusted");
    let mut heard = [0; 6];
    peer.read_exact(&mut heard).await.expect("arrives");
    assert_eq!(&heard, b"before");
    trust.revoke();
    assert!(is_refusal(gate.write(b"after").await));
    assert!(is_refusal(
        gate.write_vectored(&[io::IoSlice::new(b"after")]).await
    ));
    assert!(is_refusal(gate.flush().await));
    assert!(is_refusal(gate.shutdown().await));
    drop(gate);
    let mut rest = Vec::new();
    let end = peer.read_to_end(&mut rest).await;
    assert_eq!(rest, b"");
    assert_eq!(
        end.expect_err("a reset").kind(),
        io::ErrorKind::ConnectionReset
    );
}

#[tokio::test]
async fn it_refuses_at_the_deadline_itself() {
    let trust = Trust::until(Boot::now());
    let (mut gate, _peer) = gate(&trust).await;
    assert!(is_refusal(gate.write(b"late").await));
}
