//! Devices that are linked without ever having been paired.

use std::collections::VecDeque;
use std::sync::Arc;

use wacore::pair::{DeviceState, PairUtils};
use wacore::store::Device as ClientState;

use super::Simulator;
use crate::people::{PeopleError, SignedKey};
use crate::person::Person;
use crate::server::directory::{
    Device, DeviceAddress, Keys, PublishedKeys, Registration, lock_phone,
};
use crate::server::mailbox::Mailbox;
use wacore_binary::Server as Namespace;

impl Simulator {
    /// Links a device and returns the state that its client would have stored: with it a client
    /// logs in by IK at once, which an unmodified production build can do. Its pre-keys are those
    /// that the client uploads on its first login.
    ///
    /// # Errors
    /// The phone does not vouch for the device; see [`PeopleError`].
    pub fn seed_linked_device(&self, person: &Person) -> Result<ClientState, PeopleError> {
        let mut state = ClientState::new();
        let public = |pair: &wacore::libsignal::protocol::KeyPair| -> [u8; 32] {
            pair.public_key
                .public_key_bytes()
                .try_into()
                .expect("a Curve25519 public key has 32 bytes")
        };
        let identity = public(&state.identity_key);
        let account = person.account();
        let phone = Arc::clone(&self.server.directory().account(account).phone);
        let vouched = lock_phone(&phone).vouch(&identity, &state.adv_secret_key);
        let keys = DeviceState {
            identity_key: state.identity_key.clone(),
            noise_key: state.noise_key.clone(),
            adv_secret_key: state.adv_secret_key,
        };
        let (signed, key_index) = PairUtils::do_pair_crypto(&keys, &vouched.device_identity)
            .map_err(|_| PeopleError::BadSignature("the client refuses the phone's signature"))?;
        let device_identity = lock_phone(&phone).accept_companion(&vouched, &signed)?;
        let client_account = waproto::codec::adv_signed_device_identity_decode(&device_identity)
            .map_err(|_| PeopleError::BadSignature("no signed device identity"))?;

        let mut directory = self.server.directory();
        let number = directory.account_mut(account).reserve_device();
        let address = DeviceAddress {
            account,
            device: number,
        };
        state.pn = Some(directory.jid_of(address, Namespace::Pn));
        state.lid = Some(directory.jid_of(address, Namespace::Lid));
        drop(directory);
        state.account = Some(Arc::new(client_account));
        state.push_name = person.name().to_owned();
        state.server_cert_chain = Some(self.leaf_certificate());
        let device = Device {
            keys: Keys::Published(PublishedKeys {
                registration_id: state.registration_id,
                identity,
                signed: SignedKey {
                    id: state.signed_pre_key_id,
                    public: public(&state.signed_pre_key),
                    signature: state.signed_pre_key_signature,
                },
                one_time: VecDeque::new(),
            }),
            registration: Some(Registration {
                noise_key: public(&state.noise_key),
                key_index,
                device_identity,
            }),
            mailbox: Arc::new(Mailbox::new()),
            introduced: true,
        };
        self.server.add_companion(account, number, device);
        Ok(state)
    }
}
