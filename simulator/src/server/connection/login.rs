//! Who a client is, and the first thing it hears.

use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Server as Namespace};
use waproto::whatsapp as wa;

use super::{ConnectionError, Role};
use crate::clock::{self, unix_seconds};
use crate::faults::Faults;
use crate::server::directory::{DeviceAddress, PHONE};
use crate::server::lines::{Order, StreamError, ban, login_failure};
use crate::server::mailbox::{ConnectionId, Mailbox};
use crate::server::{Reply, Server};

/// What a client that logs in active gets of its backlog before it asks for more; the pull size of
/// whatsapp-rust.
const FIRST_BATCH: usize = 200;

/// Decides what a client is, and the first thing it hears.
pub(super) fn greet(
    server: &Server,
    id: ConnectionId,
    client_static: &[u8; 32],
    payload: &wa::ClientPayload,
) -> Result<(Role, Reply), ConnectionError> {
    if let Some(registration) = payload.device_pairing_data.as_option() {
        let greeting = server.offer_pairing(id, *client_static, registration);
        return Ok((Role::Candidate, greeting));
    }
    let username = payload.username.ok_or(ConnectionError::NoPurpose)?;
    let device = payload.device.and_then(|device| u16::try_from(device).ok());
    let Some((address, mailbox)) = log_in(
        server,
        &username.to_string(),
        device.unwrap_or(PHONE),
        client_static,
    ) else {
        return Ok((Role::Candidate, Reply::last(login_failure(401))));
    };
    match server.faults.current().refuse_logins {
        Some(402) => return Ok((Role::Candidate, Reply::last(ban(Faults::BAN)))),
        Some(code) => return Ok((Role::Candidate, Reply::last(login_failure(code)))),
        None => {}
    }
    let earlier = mailbox.attach(id);
    server.visits.begin(id, address, earlier);
    if let Some(earlier) = earlier {
        let replaced = StreamError::Replaced.stanza();
        server.lines.order(earlier, Order::HangUp(Some(replaced)));
    }
    server.lines.identify(id, address);
    let lid = server.directory().jid_of(address, Namespace::Lid);
    let success = NodeBuilder::new("success")
        .attr("t", unix_seconds())
        .attr("lid", lid)
        .attr("location", "sim")
        .build();
    let mut greeting = Reply::from(success);
    if payload.passive == Some(false) {
        greeting.stanzas.extend(server.activate(address, id));
        mailbox.request_batch(id, FIRST_BATCH, clock::now());
    }
    Ok((Role::Device(address, mailbox), greeting))
}

fn log_in(
    server: &Server,
    username: &str,
    device: u16,
    client_static: &[u8; 32],
) -> Option<(DeviceAddress, Arc<Mailbox>)> {
    let directory = server.directory();
    let account = directory.find(&Jid::pn(username))?;
    let address = DeviceAddress { account, device };
    let device = directory.device(address)?;
    let registration = device.registration.as_ref()?;
    (registration.noise_key == *client_static).then(|| (address, Arc::clone(&device.mailbox)))
}
