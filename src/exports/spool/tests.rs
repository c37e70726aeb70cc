use super::*;

struct Place {
    dir: tempfile::TempDir,
    losses: Losses,
}

impl Place {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().expect("temporary directory"),
            losses: Losses::of("test"),
        }
    }

    fn open(&self, max_bytes: u64) -> Spool {
        let place = SpoolPlace {
            dir: self.dir.path().to_owned(),
            max_bytes,
        };
        let owner = OwnerId::incarnate("w").expect("valid");
        Spool::open(&place, "test", &owner, self.losses.clone()).expect("writable")
    }

    /// The folders of processes, dead or not.
    fn folders(&self) -> usize {
        entries(&self.dir.path().join("test")).count()
    }
}

const PLENTY: u64 = 1 << 30;

fn records(lines: &[&str]) -> Vec<Arc<Record>> {
    let record = |line: &&str| Arc::new(Record::bare("whatsapp.inbound.queued", true, line));
    lines.iter().map(record).collect()
}

/// The texts of the next batch, which is then done.
fn taken(spool: &mut Spool) -> Option<Vec<String>> {
    let batch = spool.oldest()?;
    spool.done(&batch.id);
    let lines = batch.lines.split(|&byte| byte == b'\n');
    let lines = lines.filter(|line| !line.is_empty()).map(|line| {
        let line: serde_json::Value = serde_json::from_slice(line).expect("JSON");
        line["message"].as_str().expect("a text").to_owned()
    });
    Some(lines.collect())
}

#[test]
fn batches_leave_in_order_and_a_batch_stays_until_it_is_done() {
    let place = Place::new();
    let mut spool = place.open(PLENTY);
    spool.put(&records(&["a", "b"]));
    spool.put(&records(&["c"]));
    let first = spool.oldest().expect("two wait");
    assert_eq!(spool.oldest().as_ref(), Some(&first), "not done yet");
    assert_eq!(first.count(), 2);
    assert_eq!(taken(&mut spool), Some(vec!["a".into(), "b".into()]));
    spool.done(&first.id);
    assert_eq!(
        taken(&mut spool),
        Some(vec!["c".into()]),
        "was not that one"
    );
    assert_eq!(taken(&mut spool), None);
    spool.leave();
    assert_eq!(place.folders(), 0);
    assert_eq!(place.losses.total(), 0);
}

#[test]
fn what_a_dead_process_left_is_taken_over_once_and_leaves_first_under_its_id() {
    let place = Place::new();
    let mut dead = place.open(PLENTY);
    dead.put(&records(&["old"]));
    let id = dead.oldest().expect("one waits").id;
    let mut living = place.open(PLENTY);
    assert_eq!(living.oldest(), None, "its process lives");
    living.put(&records(&["new"]));
    drop(dead);
    living.take_over();
    let mut other = place.open(PLENTY);
    assert_eq!(other.oldest(), None, "it is another's");
    assert_eq!(living.oldest().expect("two wait").id, id);
    assert_eq!(taken(&mut living), Some(vec!["old".into()]));
    assert_eq!(taken(&mut living), Some(vec!["new".into()]));
    assert_eq!(place.folders(), 2, "the dead one's is gone");
}

#[test]
fn beyond_its_bound_the_oldest_is_lost_and_counted() {
    let place = Place::new();
    let one = records(&["x"; 10]);
    let bytes: usize = one.iter().map(|record| record.json.len() + 1).sum();
    let mut spool = place.open(bytes as u64 * 3);
    for line in ["a", "b", "c"] {
        spool.put(&records(&[line; 10]));
    }
    assert_eq!(place.losses.total(), 0);
    spool.put(&records(&["d"; 10]));
    assert_eq!(place.losses.total(), 10);
    assert_eq!(taken(&mut spool).expect("three wait")[0], "b");
    drop(spool);
    let mut narrow = place.open(bytes as u64);
    assert_eq!(place.losses.total(), 20, "of what was taken over");
    assert_eq!(taken(&mut narrow).expect("one waits")[0], "d");
}

#[test]
fn of_a_file_that_was_cut_off_the_whole_lines_are_sent_and_the_rest_is_counted() {
    let place = Place::new();
    let mut spool = place.open(PLENTY);
    spool.put(&records(&["a", "b", "c"]));
    spool.put(&records(&["d"]));
    let path = |spool: &Spool, at: usize| spool.own.join(spool.waiting[at].file());
    let cut = |path: &Path, less: u64| {
        let file = OpenOptions::new().write(true).open(path).expect("there");
        let long = file.metadata().expect("there").len();
        file.set_len(long.saturating_sub(less)).expect("cut");
    };
    cut(&path(&spool, 0), 3);
    cut(&path(&spool, 1), u64::MAX);
    assert_eq!(spool.oldest().expect("it waits").count(), 2);
    assert_eq!(place.losses.total(), 1);
    drop(spool);
    let mut next = place.open(PLENTY);
    assert_eq!(taken(&mut next), Some(vec!["a".into(), "b".into()]));
    assert_eq!(place.losses.total(), 1, "counted once");
    assert_eq!(taken(&mut next), None);
    assert_eq!(place.losses.total(), 2, "nothing of the other is left");
}

#[test]
fn what_the_disk_does_not_take_waits_in_memory_up_to_a_bound() {
    let place = Place::new();
    let mut spool = place.open(PLENTY);
    spool.put(&records(&["on disk"]));
    fs::remove_dir_all(&spool.own).expect("ours");
    spool.put(&records(&["in memory"]));
    let long = "x".repeat(60_000);
    let many = records(&[long.as_str(); 17]);
    for _ in 0..5 {
        spool.put(&many);
    }
    assert_eq!(place.losses.total(), 17, "four mebibytes of five");
    assert_eq!(taken(&mut spool), Some(vec!["in memory".into()]));
    assert_eq!(place.losses.total(), 18, "the file is gone");
    spool.leave();
    assert_eq!(place.losses.total(), 18 + 68, "the process ends");
}
