//! The order of work: one step after another, or several that do not need each other at once.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

/// As much as the main thread has; a stage may recurse into folders and decoders.
const STACK_BYTES: usize = 8 << 20;

/// What became of a step.
#[derive(Debug)]
pub enum Outcome<T> {
    /// It ended well.
    Done(T),
    /// It failed.
    Failed(anyhow::Error),
    /// It was not started: a step it needs failed or was not done, or the work had ended by then.
    NotStarted,
}

/// How steps are worked through.
#[derive(Debug, Clone, Copy)]
pub struct Policy {
    /// Steps that run at once, at most.
    pub jobs: usize,
    /// Go on, after a failure, with what does not need the step that failed.
    pub keeps_going: bool,
}

#[derive(Debug)]
enum Step<T> {
    Waiting,
    Running,
    Ended(Outcome<T>),
}

struct Board<T> {
    steps: Vec<Step<T>>,
    /// So many steps at the front have ended.
    n_ended: usize,
    /// True once nothing more is to be started.
    is_closed: bool,
}

impl<T> Board<T> {
    /// True if all steps have; those at the front that have are not looked at again.
    fn has_ended(&mut self) -> bool {
        while matches!(self.steps.get(self.n_ended), Some(Step::Ended(_))) {
            self.n_ended += 1;
        }
        self.n_ended == self.steps.len()
    }
}

/// Works through steps `0..needs.len()`; `needs[step]` are the steps, all before it, that must be done first. `work`
/// gets one step and is called from several threads where `policy.jobs` is above 1; `must_stop` is asked before each
/// start. What is running when a step fails comes to its end.
pub fn run_all<T: Send>(
    needs: &[Vec<usize>],
    policy: Policy,
    must_stop: &(dyn Fn() -> bool + Sync),
    work: &(dyn Fn(usize) -> anyhow::Result<T> + Sync),
) -> Vec<Outcome<T>> {
    let steps = needs.iter().map(|_| Step::Waiting).collect();
    let board = (Mutex::new(Board { steps, n_ended: 0, is_closed: false }), Condvar::new());
    thread::scope(|scope| {
        let worker = || work_off(&board, needs, policy, must_stop, work);
        for number in 1..policy.jobs.min(needs.len()) {
            let builder = thread::Builder::new().name(format!("stage-{number}")).stack_size(STACK_BYTES);
            // Without another thread, the work is done by fewer.
            let _ = builder.spawn_scoped(scope, worker);
        }
        worker();
    });
    let board = board.0.into_inner().unwrap_or_else(PoisonError::into_inner);
    let outcome = |step| match step {
        Step::Ended(outcome) => outcome,
        Step::Waiting | Step::Running => Outcome::NotStarted,
    };
    board.steps.into_iter().map(outcome).collect()
}

fn work_off<T>(
    board: &(Mutex<Board<T>>, Condvar),
    needs: &[Vec<usize>],
    policy: Policy,
    must_stop: &(dyn Fn() -> bool + Sync),
    work: &(dyn Fn(usize) -> anyhow::Result<T> + Sync),
) {
    let locked = || board.0.lock().unwrap_or_else(PoisonError::into_inner);
    loop {
        let mut state = locked();
        state.is_closed |= must_stop();
        let step = loop {
            if state.is_closed {
                // Those that wait have not seen it yet.
                board.1.notify_all();
                return;
            }
            if let Some(step) = next(&mut state, needs) {
                break step;
            }
            if state.has_ended() {
                return;
            }
            state = wait(&board.1, state);
        };
        state.steps[step] = Step::Running;
        drop(state);
        let mut closing = CloseOnPanic { board, is_armed: true };
        let worked = work(step);
        closing.is_armed = false;

        let mut state = locked();
        state.is_closed |= worked.is_err() && !policy.keeps_going;
        state.steps[step] = Step::Ended(worked.map_or_else(Outcome::Failed, Outcome::Done));
        board.1.notify_all();
    }
}

fn wait<'a, T>(changed: &Condvar, state: MutexGuard<'a, Board<T>>) -> MutexGuard<'a, Board<T>> {
    changed.wait(state).unwrap_or_else(PoisonError::into_inner)
}

/// The first step that can start now; those that never can are marked on the way.
fn next<T>(state: &mut Board<T>, needs: &[Vec<usize>]) -> Option<usize> {
    state.has_ended();
    for (step, needs) in needs.iter().enumerate().skip(state.n_ended) {
        if !matches!(state.steps[step], Step::Waiting) {
            continue;
        }
        let is_done = |need: &usize| matches!(state.steps[*need], Step::Ended(Outcome::Done(_)));
        let has_ended = |need: &usize| matches!(state.steps[*need], Step::Ended(_));
        if needs.iter().all(is_done) {
            return Some(step);
        }
        if needs.iter().any(|need| has_ended(need) && !is_done(need)) {
            state.steps[step] = Step::Ended(Outcome::NotStarted);
        }
    }
    None
}

/// Lets the other threads end where one panics; the scope then passes the panic on.
struct CloseOnPanic<'a, T> {
    board: &'a (Mutex<Board<T>>, Condvar),
    is_armed: bool,
}

impl<T> Drop for CloseOnPanic<'_, T> {
    fn drop(&mut self) {
        if self.is_armed {
            self.board.0.lock().unwrap_or_else(PoisonError::into_inner).is_closed = true;
            self.board.1.notify_all();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    fn message(outcomes: &[Outcome<usize>]) -> String {
        let letter = |outcome: &Outcome<usize>| match outcome {
            Outcome::Done(_) => 'd',
            Outcome::Failed(_) => 'f',
            Outcome::NotStarted => '-',
        };
        outcomes.iter().map(letter).collect()
    }

    /// 1 fails; 2 needs it, 3 needs 2, 4 needs 0 alone.
    fn with_a_failure(jobs: usize, keeps_going: bool) -> String {
        let needs = [vec![], vec![0], vec![1], vec![2], vec![0]];
        let work = |step| if step == 1 { anyhow::bail!("no") } else { Ok(step) };
        message(&run_all(&needs, Policy { jobs, keeps_going }, &|| false, &work))
    }

    #[test]
    fn a_failure_ends_the_work_or_only_what_needs_it() {
        assert_eq!(with_a_failure(1, false), "df---");
        for jobs in [1, 2, 3] {
            assert_eq!(with_a_failure(jobs, true), "df--d");
        }
    }

    #[test]
    fn steps_that_do_not_need_each_other_run_at_once() {
        // Each waits for the other: one after another they would never end.
        let both = Barrier::new(2);
        let order = Mutex::new(Vec::new());
        let work = |step| {
            if step < 2 {
                both.wait();
            }
            order.lock().unwrap().push(step);
            Ok(step)
        };
        let needs = [vec![], vec![], vec![0, 1]];
        let outcomes = run_all(&needs, Policy { jobs: 2, keeps_going: false }, &|| false, &work);
        assert_eq!(message(&outcomes), "ddd");
        assert_eq!(order.lock().unwrap().last(), Some(&2));
    }

    #[test]
    fn nothing_is_started_once_it_must_stop() {
        let stop = Mutex::new(false);
        let work = |step| {
            *stop.lock().unwrap() = step == 1;
            Ok(step)
        };
        let needs = [vec![], vec![], vec![], vec![]];
        let policy = Policy { jobs: 1, keeps_going: true };
        assert_eq!(message(&run_all(&needs, policy, &|| *stop.lock().unwrap(), &work)), "dd--");
    }
}
