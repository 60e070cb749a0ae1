//! The machine: its directories, its monit and the traces of its jobs.

use super::jobs::{Addresses, Jobs};
use crate::recipes::place::Place;
use crate::support::{LONG, Monit, Postgres, wait_until};
use std::fs;
use std::time::Instant;

pub struct Vm {
    // Dropped first, together with everything that it has started.
    _monit: Monit,
    place: Place,
    at: Addresses,
    postgres: Postgres,
}

impl Vm {
    /// Everything is in place, monit starts, and starts these jobs in this order.
    pub fn boot(order: &[&str]) -> Self {
        let at = Addresses::claim();
        let postgres = Postgres::new();
        let mut place = Place::new();
        let rules = Jobs { place: &mut place, at: &at, postgres: &postgres }.install(order);
        let _monit = Monit::start(&place.dir, &rules);
        Self { _monit, place, at, postgres }
    }

    /// A dependency for each server of the chain, as its clients would declare it.
    pub fn everything(&self) -> Vec<String> {
        let ca = self.place.authority.cert_text();
        let own =
            |name: &str| self.place.at(&format!("/var/vcap/jobs/health_monitor/config/{name}"));
        vec![
            format!("postgres://postgres@{}/bosh", self.postgres.address()),
            format!("https://{}/info#ca={ca}", self.at.director),
            format!("http://{}/healthz", self.at.health_monitor),
            format!(
                "nats://{}#ca={ca},cert={},key={}",
                self.at.nats,
                own("nats_client_certificate.pem"),
                own("nats_client_private_key")
            ),
        ]
    }

    /// Returns the number of monit's starts of the job.
    pub fn starts(&self, job: &str) -> usize {
        self.place.dir.read(&format!("starts/{job}")).lines().count()
    }

    /// One for each time that the job became its service.
    pub fn pids(&self, job: &str) -> Vec<String> {
        self.place.dir.read(&format!("services/{job}")).lines().map(str::to_owned).collect()
    }

    pub fn pid_file(&self, job: &str) -> String {
        self.place.dir.read(&format!("run/{job}.pid")).trim().to_owned()
    }

    pub fn log(&self, job: &str) -> String {
        self.place.dir.read(&format!("log/{job}.log"))
    }

    pub fn monit_log(&self) -> String {
        self.place.dir.read("monit.log")
    }

    /// Fails with all output if a job does not become its service.
    #[track_caller]
    pub fn wait_until_started(&self, jobs: &[&str]) {
        let begun = Instant::now();
        wait_until("everything has started", LONG * 2, || {
            self.fail_on_stack_traces();
            let missing: Vec<_> = jobs.iter().filter(|job| self.pids(job).is_empty()).collect();
            let logs = || {
                jobs.iter().map(|job| format!("--- {job}\n{}", self.log(job))).collect::<String>()
            };
            assert!(
                missing.is_empty() || begun.elapsed() < LONG,
                "{missing:?}\n{}{}",
                logs(),
                self.monit_log()
            );
            missing.is_empty()
        });
    }

    #[track_caller]
    pub fn wait_for_cycles(&self, cycles: usize) {
        let seen = || self.place.dir.read("ticks").len();
        let before = seen();
        wait_until("monit goes round", LONG, || seen() >= before + cycles);
    }

    #[track_caller]
    pub fn fail_on_stack_traces(&self) {
        for file in fs::read_dir(self.place.dir.join("log")).unwrap().flatten() {
            let text = String::from_utf8_lossy(&fs::read(file.path()).unwrap()).into_owned();
            for trace in ["panicked", "RUST_BACKTRACE", "stack backtrace", "Traceback"] {
                assert!(!text.contains(trace), "{}:\n{text}", file.path().display());
            }
        }
    }
}
