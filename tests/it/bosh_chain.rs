//! BOSH's director and what depends on it, under a real monit that starts everything in the wrong
//! order.
//!
//! PostgreSQL, nats-server and nginx are real. Director, scheduler, nats-sync and health monitor
//! are scripts. They fail with a stack trace if they are started a moment too early. They wait for
//! the dependencies of the recipes in `examples/bosh`.

mod jobs;
mod vm;

use crate::support::Afterall;
use vm::Vm;

#[test]
fn the_whole_chain_starts_once_in_any_order() {
    // monit's order of starts: each job comes before the jobs that it needs.
    let order = ["health_monitor", "scheduler", "bosh_nats_sync", "nats", "director", "postgres"];
    let vm = Vm::boot(&order);
    vm.wait_until_started(&order);
    // Checked from outside, as a client of each job.
    Afterall::waiting_for(vm.everything()).run().code(0).any_stderr();
    vm.wait_for_cycles(3);
    for job in order {
        assert_eq!(vm.starts(job), 1, "monit started {job} once:\n{}", vm.monit_log());
        assert_eq!(
            vm.pids(job),
            [vm.pid_file(job)],
            "{job} became its service once, under the pid that monit knows"
        );
    }
    for (job, waited_for) in [
        // The role has no password yet, or no rights, or the server is down. The wait survives
        // each.
        ("director", "db: waiting: "),
        ("scheduler", "schema: waiting: "),
        ("bosh_nats_sync", "director: waiting: "),
        ("health_monitor", "nats: waiting: "),
    ] {
        assert!(
            vm.log(job).contains(waited_for),
            "{job} was started too early to wait:\n{}",
            vm.log(job)
        );
    }
    assert!(
        vm.log("health_monitor").contains("-ERR 'Authorization Violation'"),
        "{}",
        vm.log("health_monitor")
    );
    vm.fail_on_stack_traces();
}
