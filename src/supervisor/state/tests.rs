//! A table of every state and input; random walks beside it.

mod walks;

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
fn an_order_about_the_auth_state_reaches_a_session_and_ends_a_rest_once() {
    let asked = |at| Wish {
        asked_at: Some(at),
        ..here()
    };
    let start = [Command::Start { paused: false }];
    let ending = || {
        Input::Ended(Ending::Unusable {
            retry: Duration::from_mins(1),
        })
    };
    let mut machine = after(&running());
    assert_eq!(
        machine.on(Input::Posted(asked(5))),
        [Command::Attend],
        "it runs"
    );
    assert_eq!(machine.on(Input::Posted(asked(5))), [], "told already");
    assert_eq!(machine.on(ending()), start, "it may not have heard");
    let rest = [Command::RetryAfter(Duration::from_mins(1))];
    assert_eq!(machine.on(ending()), rest, "it began with the order");
    assert_eq!(machine.on(Input::Posted(here())), [], "done, or taken back");
    assert_eq!(machine.on(Input::Posted(asked(6))), start, "a new one");
    let mut machine = after(&running());
    assert_eq!(machine.on(ending()), rest, "nothing is asked");
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
