//! Random walks: whatever happens in whatever order, the invariants hold.

use proptest::prelude::*;

use super::*;

/// What the runner's hands hold, as commands change it.
#[derive(Debug, Default)]
struct Hands {
    bidding: bool,
    lease: bool,
    gone: bool,
    session: bool,
    told_to_end: bool,
    cut: bool,
    ended: bool,
}

impl Hands {
    /// Whether the outside may say so now.
    fn may_hear(&self, input: &Input) -> bool {
        match input {
            Input::Won => self.bidding,
            Input::Checked(_) | Input::CalledFor(_) => self.lease,
            Input::Lost(_) => self.lease && !self.gone,
            Input::Ended(_) => self.session,
            _ => true,
        }
    }

    fn note(&mut self, input: &Input) {
        match input {
            Input::Won => (self.lease, self.bidding) = (true, false),
            Input::Lost(_) | Input::Ended(Ending::Lost(_)) => self.gone = true,
            _ => {}
        }
        if let Input::Ended(_) = input {
            (self.session, self.told_to_end, self.cut) = (false, false, false);
        }
    }

    fn obey(&mut self, command: Command, stopping: bool) {
        assert!(!self.ended, "{command:?} after the end");
        match command {
            Command::Bid => {
                assert!(!self.bidding && !self.lease && !self.session && !stopping);
                self.bidding = true;
            }
            Command::Withdraw => {
                assert!(self.bidding);
                self.bidding = false;
            }
            Command::Check => assert!(self.lease && !self.session),
            Command::Start { .. } => {
                assert!(self.lease && !self.gone, "a session without a lease");
                assert!(!self.session, "two sessions");
                assert!(!stopping, "a session after the stop");
                self.session = true;
            }
            Command::Pause(_) | Command::Nudge | Command::Attend => assert!(self.session),
            Command::Drain => {
                assert!(self.session && !self.told_to_end);
                self.told_to_end = true;
            }
            Command::Cut(_) => {
                assert!(self.session && self.gone && !self.cut);
                self.cut = true;
            }
            Command::Release(_) => {
                assert!(self.lease && !self.gone, "released what is not held");
                assert!(!self.session, "released under a session");
                self.lease = false;
            }
            Command::Forget(_) => {
                assert!(self.lease && self.gone && !self.session);
                (self.lease, self.gone) = (false, false);
            }
            Command::SitOut => assert!(!self.lease && !self.bidding),
            Command::RetryAfter(_) => assert!(self.lease && !self.session),
            Command::End => {
                assert!(stopping && !self.lease && !self.session && !self.bidding);
                self.ended = true;
            }
        }
    }

    /// What must hold between inputs.
    fn check(&self, machine: &Machine) {
        assert!(!self.session || self.lease, "a session without a lease");
        assert!(!(self.session && self.gone) || self.cut, "not cut");
        let state = machine.state();
        assert_eq!(
            matches!(state, AccountState::Lost(_)),
            self.session && self.gone
        );
        let unwanted = matches!(
            machine.wish.place,
            Place::Disabled | Place::Elsewhere { .. }
        );
        if unwanted && state != AccountState::Acquiring {
            assert!(!self.bidding);
            assert!(!self.lease || self.told_to_end || self.cut);
        }
    }
}

fn any_wish() -> impl Strategy<Value = Wish> {
    let place = prop_oneof![
        4 => Just(Place::Here),
        1 => Just(Place::Disabled),
        1 => Just(Place::Elsewhere { auth_home: "other".to_owned() }),
        1 => Just(Place::Unknown),
    ];
    let told = (place, any::<bool>(), 0..4_i64, 0..3_i64, 0..3_usize);
    told.prop_map(|(place, paused, resumed, asked, standbys)| Wish {
        place,
        paused,
        resumed_at: (resumed > 0).then_some(resumed),
        asked_at: (asked > 0).then_some(asked),
        standbys,
    })
}

fn any_input() -> impl Strategy<Value = Input> {
    let loss = || prop_oneof![Just(Loss::Refused), Just(Loss::Unanswered)];
    prop_oneof![
        4 => any_wish().prop_map(Input::Posted),
        6 => Just(Input::Won),
        6 => proptest::option::of(any_wish()).prop_map(Input::Checked),
        1 => Just(Input::CalledFor("transfer")),
        2 => loss().prop_map(Input::Lost),
        3 => Just(Input::Ended(Ending::Settled)),
        1 => loss().prop_map(|loss| Input::Ended(Ending::Lost(loss))),
        1 => Just(Input::Ended(Ending::Unusable { retry: RETRY })),
        3 => (0..5_u32).prop_map(Input::Deaf),
        3 => Just(Input::Alarm),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2000, ..ProptestConfig::default() })]

    #[test]
    fn any_walk_keeps_the_invariants_and_ends_after_the_stop(
        walk in proptest::collection::vec(any_input(), 0..60),
        rest in proptest::collection::vec(any_input(), 0..10),
    ) {
        let mut machine = Machine::default();
        let mut hands = Hands::default();
        let mut stopping = false;
        let stop = std::iter::once(Input::Stop);
        for input in walk.into_iter().chain(stop).chain(rest) {
            if !hands.may_hear(&input) || hands.ended {
                continue;
            }
            stopping |= input == Input::Stop;
            hands.note(&input);
            for command in machine.on(input) {
                hands.obey(command, stopping);
            }
            if !hands.ended {
                hands.check(&machine);
            }
        }
        // From here the outside only does what it was told.
        if hands.session {
            let ended = Input::Ended(Ending::Settled);
            hands.note(&ended);
            for command in machine.on(ended) {
                hands.obey(command, true);
            }
        }
        prop_assert!(hands.ended, "{machine:?} {hands:?}");
    }

    #[test]
    fn no_input_in_any_order_is_too_much(walk in proptest::collection::vec(any_input(), 0..60)) {
        let mut machine = Machine::default();
        let mut session = false;
        for input in walk {
            if matches!(input, Input::Ended(_)) {
                session = false;
            }
            for command in machine.on(input) {
                if let Command::Start { .. } = command {
                    prop_assert!(!session, "two sessions");
                    session = true;
                }
            }
        }
    }
}
