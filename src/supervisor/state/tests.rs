//! A table of every state and input, and random walks against the invariants.

use proptest::prelude::*;

use super::*;

const RETRY: Duration = Duration::from_secs(60);

fn here() -> Wish {
    Wish {
        place: Place::Here,
        ..Wish::default()
    }
}

fn disabled() -> Wish {
    Wish {
        place: Place::Disabled,
        ..Wish::default()
    }
}

fn elsewhere() -> Wish {
    Wish {
        place: Place::Elsewhere {
            auth_home: "other".to_owned(),
        },
        ..Wish::default()
    }
}

/// The machine after `inputs`.
fn after(inputs: &[Input]) -> Machine {
    let mut machine = Machine::default();
    for input in inputs {
        machine.on(input.clone());
    }
    machine
}

fn bidding() -> Vec<Input> {
    vec![Input::Posted(here())]
}

fn acquiring() -> Vec<Input> {
    [bidding(), vec![Input::Won]].concat()
}

fn running() -> Vec<Input> {
    [acquiring(), vec![Input::Checked(None)]].concat()
}

fn resting() -> Vec<Input> {
    let ended = Input::Ended(Ending::Unusable { retry: RETRY });
    [running(), vec![ended]].concat()
}

fn draining() -> Vec<Input> {
    [running(), vec![Input::CalledFor("transfer")]].concat()
}

fn losing() -> Vec<Input> {
    [running(), vec![Input::Lost(Loss::Refused)]].concat()
}

fn deaf_with_standby() -> Vec<Input> {
    let standby = Wish {
        standbys: 1,
        ..here()
    };
    [
        running(),
        vec![Input::Posted(standby), Input::Deaf(DEAF_LIMIT)],
    ]
    .concat()
}

fn sitting_out() -> Vec<Input> {
    [deaf_with_standby(), vec![Input::Ended(Ending::Settled)]].concat()
}

/// Each state's answer to each input: what is not listed is answered by nothing and changes nothing.
#[test]
fn every_state_answers_every_input_as_the_table_says() {
    use AccountState as S;
    use Command as C;
    let unusable = || Input::Ended(Ending::Unusable { retry: RETRY });
    let settled = || Input::Ended(Ending::Settled);
    let found_lost = || Input::Ended(Ending::Lost(Loss::Refused));
    let lost = || Input::Lost(Loss::Unanswered);
    let inputs = || {
        vec![
            Input::Posted(here()),
            Input::Posted(disabled()),
            Input::Posted(elsewhere()),
            Input::Won,
            Input::Checked(None),
            Input::Checked(Some(disabled())),
            Input::CalledFor("transfer"),
            lost(),
            settled(),
            found_lost(),
            unusable(),
            Input::Deaf(DEAF_LIMIT),
            Input::Alarm,
            Input::Stop,
        ]
    };
    let not_wanted = C::Release("not wanted any more");
    let ineligible = || S::Ineligible {
        auth_home: "other".to_owned(),
    };
    let drain = |input: Input| (input, vec![C::Drain], S::Draining);
    type Row = (Input, Vec<Command>, AccountState);
    let table: Vec<(&str, Vec<Input>, Vec<Row>)> = vec![
        (
            "unknown",
            vec![],
            vec![
                (Input::Posted(here()), vec![C::Bid], S::Standby),
                (Input::Posted(disabled()), vec![], S::Disabled),
                (Input::Posted(elsewhere()), vec![], ineligible()),
                (Input::Won, vec![not_wanted], S::Standby),
                (Input::Checked(Some(disabled())), vec![], S::Disabled),
                (Input::Stop, vec![C::End], S::Standby),
            ],
        ),
        (
            "disabled",
            vec![Input::Posted(disabled())],
            vec![
                (Input::Posted(here()), vec![C::Bid], S::Standby),
                (Input::Posted(elsewhere()), vec![], ineligible()),
                (Input::Won, vec![not_wanted], S::Disabled),
                (Input::Stop, vec![C::End], S::Disabled),
            ],
        ),
        (
            "standby",
            bidding(),
            vec![
                (Input::Posted(disabled()), vec![C::Withdraw], S::Disabled),
                (Input::Posted(elsewhere()), vec![C::Withdraw], ineligible()),
                (
                    Input::Checked(Some(disabled())),
                    vec![C::Withdraw],
                    S::Disabled,
                ),
                (Input::Won, vec![C::Check], S::Acquiring),
                (Input::Stop, vec![C::Withdraw, C::End], S::Standby),
            ],
        ),
        (
            "acquiring",
            acquiring(),
            vec![
                (
                    Input::Checked(None),
                    vec![C::Start { paused: false }],
                    S::Active,
                ),
                (
                    Input::Checked(Some(disabled())),
                    vec![C::Release("disabled")],
                    S::Disabled,
                ),
                (
                    Input::CalledFor("transfer"),
                    vec![C::Release("transfer"), C::Bid],
                    S::Standby,
                ),
                (
                    lost(),
                    vec![C::Forget(Loss::Unanswered), C::Bid],
                    S::Standby,
                ),
                (Input::Stop, vec![C::Release("stopped"), C::End], S::Standby),
            ],
        ),
        (
            "active",
            running(),
            vec![
                drain(Input::Posted(disabled())),
                drain(Input::Posted(elsewhere())),
                drain(Input::Checked(Some(disabled()))),
                drain(Input::CalledFor("transfer")),
                drain(Input::Stop),
                (
                    lost(),
                    vec![C::Cut(Loss::Unanswered)],
                    S::Lost(Loss::Unanswered),
                ),
                (
                    settled(),
                    vec![C::Release("the session ended"), C::Bid],
                    S::Standby,
                ),
                (
                    found_lost(),
                    vec![C::Forget(Loss::Refused), C::Bid],
                    S::Standby,
                ),
                (unusable(), vec![C::RetryAfter(RETRY)], S::Active),
            ],
        ),
        (
            "active without a session",
            resting(),
            vec![
                (
                    Input::Posted(disabled()),
                    vec![C::Release("disabled")],
                    S::Disabled,
                ),
                (
                    Input::Posted(elsewhere()),
                    vec![C::Release("its auth state is on another installation")],
                    ineligible(),
                ),
                (
                    Input::Checked(Some(disabled())),
                    vec![C::Release("disabled")],
                    S::Disabled,
                ),
                (
                    Input::CalledFor("transfer"),
                    vec![C::Release("transfer"), C::Bid],
                    S::Standby,
                ),
                (
                    lost(),
                    vec![C::Forget(Loss::Unanswered), C::Bid],
                    S::Standby,
                ),
                (Input::Alarm, vec![C::Start { paused: false }], S::Active),
                (Input::Stop, vec![C::Release("stopped"), C::End], S::Standby),
            ],
        ),
        (
            "draining",
            draining(),
            vec![
                (
                    lost(),
                    vec![C::Cut(Loss::Unanswered)],
                    S::Lost(Loss::Unanswered),
                ),
                (settled(), vec![C::Release("transfer"), C::Bid], S::Standby),
                (unusable(), vec![C::Release("transfer"), C::Bid], S::Standby),
                (
                    found_lost(),
                    vec![C::Forget(Loss::Refused), C::Bid],
                    S::Standby,
                ),
            ],
        ),
        (
            "lost",
            losing(),
            [settled(), unusable(), found_lost()]
                .map(|ended| (ended, vec![C::Forget(Loss::Refused), C::Bid], S::Standby))
                .into(),
        ),
        (
            "sitting out",
            sitting_out(),
            vec![
                (Input::Posted(disabled()), vec![], S::Disabled),
                (Input::Posted(elsewhere()), vec![], ineligible()),
                (Input::Checked(Some(disabled())), vec![], S::Disabled),
                (Input::Won, vec![not_wanted], S::Standby),
                (Input::Alarm, vec![C::Bid], S::Standby),
                (Input::Stop, vec![C::End], S::Standby),
            ],
        ),
        (
            "ended",
            vec![Input::Stop],
            vec![
                (Input::Posted(disabled()), vec![], S::Disabled),
                (Input::Posted(elsewhere()), vec![], ineligible()),
                (Input::Checked(Some(disabled())), vec![], S::Disabled),
                (Input::Won, vec![not_wanted], S::Standby),
            ],
        ),
    ];
    for (name, way, rows) in table {
        for input in inputs() {
            let mut machine = after(&way);
            let before = machine.state();
            let commands = machine.on(input.clone());
            let row = rows.iter().find(|(of, _, _)| *of == input);
            let (expected, state) = row.map_or((vec![], before), |(_, commands, state)| {
                (commands.clone(), state.clone())
            });
            assert_eq!(commands, expected, "{name}, {input:?}");
            assert_eq!(machine.state(), state, "{name}, {input:?}");
        }
    }
}

#[test]
fn pausing_and_resuming_reach_a_running_session_and_one_that_begins() {
    let paused = Wish {
        paused: true,
        ..here()
    };
    let resumed = Wish {
        resumed_at: Some(7),
        ..here()
    };
    let mut machine = after(&running());
    let pause = machine.on(Input::Posted(paused.clone()));
    assert_eq!(pause, [Command::Pause(true)]);
    assert_eq!(machine.on(Input::Posted(paused.clone())), []);
    let resume = machine.on(Input::Posted(resumed.clone()));
    assert_eq!(resume, [Command::Pause(false), Command::Nudge]);
    assert_eq!(machine.on(Input::Posted(resumed)), [], "told once");
    let mut machine = after(&resting());
    let retried = machine.on(Input::Posted(Wish {
        resumed_at: Some(7),
        ..here()
    }));
    assert_eq!(retried, [Command::Start { paused: false }]);
    let mut machine = after(&acquiring());
    let start = machine.on(Input::Checked(Some(paused)));
    assert_eq!(start, [Command::Start { paused: true }]);
}

#[test]
fn a_deaf_session_is_given_up_only_for_a_standby_and_after_three_failures() {
    let with_standby = Wish {
        standbys: 2,
        ..here()
    };
    let mut machine = after(&running());
    assert_eq!(machine.on(Input::Deaf(DEAF_LIMIT)), [], "nobody else could");
    let came = machine.on(Input::Posted(with_standby.clone()));
    assert_eq!(came, [Command::Drain], "somebody came");
    let ended = machine.on(Input::Ended(Ending::Settled));
    assert!(matches!(ended[..], [Command::Release(_), Command::SitOut]));
    let mut machine = after(&running());
    machine.on(Input::Posted(with_standby));
    assert_eq!(machine.on(Input::Deaf(DEAF_LIMIT - 1)), []);
    assert_eq!(machine.on(Input::Deaf(0)), [], "it hears again");
    assert_eq!(machine.on(Input::Deaf(DEAF_LIMIT)), [Command::Drain]);
}

#[test]
fn an_account_that_is_enabled_again_while_it_drains_is_bid_for_after_its_release() {
    let mut machine = after(&running());
    assert_eq!(machine.on(Input::Posted(disabled())), [Command::Drain]);
    assert_eq!(machine.on(Input::Posted(here())), []);
    let ended = machine.on(Input::Ended(Ending::Settled));
    assert_eq!(ended, [Command::Release("disabled"), Command::Bid]);
}

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
            Command::Pause(_) | Command::Nudge => assert!(self.session),
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
    (place, any::<bool>(), 0..4_i64, 0..3_usize).prop_map(|(place, paused, resumed, standbys)| {
        Wish {
            place,
            paused,
            resumed_at: (resumed > 0).then_some(resumed),
            standbys,
        }
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
