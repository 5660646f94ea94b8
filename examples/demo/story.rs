//! What the demo prints.
#![expect(clippy::print_stdout, reason = "the demo talks to a person")]

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use crate::agent::Agent;
use crate::cluster::Cluster;
use crate::repository::Repository;

/// Where the right column begins: the times.
const WIDTH: usize = 88;

/// The terminal.
pub struct Story {
    colour: bool,
    begun: Instant,
}

impl Story {
    /// Colours only on a terminal, and not with NO_COLOR (no-color.org).
    pub fn new() -> Self {
        let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        Self {
            colour: std::io::stdout().is_terminal() && !refused,
            begun: Instant::now(),
        }
    }

    pub fn title(&self) {
        println!("{}", self.bold("towline: the cluster is what Git says"));
        println!("Everything below is real, and everything is gone when this ends.\n");
    }

    /// The beginning of a part of the story.
    pub fn chapter(&self, number: usize, title: &str) {
        println!("\n{}", self.bold(&format!("{number}  {title}")));
    }

    /// Something that was done or checked, and the time it took.
    pub fn done(&self, what: &str, since: Instant) {
        self.checked(what, Some(since.elapsed()));
    }

    /// Something that was checked.
    pub fn holds(&self, what: &str) {
        self.checked(what, None);
    }

    /// Something that was checked, with a time that was measured.
    pub fn checked(&self, what: &str, time: Option<Duration>) {
        let Some(time) = time else {
            return println!("   {} {what}", self.green("✓"));
        };
        let room = WIDTH.saturating_sub(what.chars().count());
        println!(
            "   {} {what} {}",
            self.green("✓"),
            self.dim(&format!("{:>room$}", shown(time)))
        );
    }

    /// A sentence in between.
    pub fn note(&self, text: &str) {
        println!("   {text}");
    }

    /// A command that is run, as a person would type it.
    pub fn command(&self, line: &str) {
        println!("   {} {}", self.dim("$"), self.bold(line));
    }

    /// What a command printed.
    pub fn output(&self, text: &str) {
        for line in text.trim_end().lines() {
            println!("     {}", self.dim(line.trim_end()));
        }
    }

    /// What a person can do while everything runs.
    pub fn go_on(&self, cluster: &Cluster, repository: &Repository, agent: &Agent) {
        let (namespace, shop) = (cluster.namespace(), cluster.shop());
        println!("\n{}", self.bold("Go on by hand, in another terminal"));
        for line in cluster.environment() {
            self.command(&line);
        }
        self.command("kubectl get tl -A -w");
        self.command(&format!("kubectl -n {namespace} describe tl shop-dev"));
        self.command(&format!("kubectl -n {shop} delete service dev-api"));
        self.command(&format!("cd {}", repository.work_tree()));
        self.note("That is the work tree: edit, git commit -a, git push. Then wait 30 seconds, or");
        let annotate = "annotate --overwrite tl shop-dev towline.dev/refresh=$(date +%s)";
        self.command(&format!("kubectl -n {namespace} {annotate}"));
        self.command(&format!(
            "curl -s {}/metrics | grep ^towline",
            agent.address()
        ));
        self.command(&format!("tail -f {}", agent.log_path()));
        println!(
            "\n   The agent runs in this process. {} ends everything.",
            self.bold("Ctrl-C")
        );
    }

    /// The end.
    pub fn end(&self, keep: bool) {
        let seconds = self.begun.elapsed().as_secs_f64();
        println!(
            "\n{}",
            self.green(&format!("Every claim held. {seconds:.0} s in all."))
        );
        if !keep {
            println!("To look around in it: cargo run --example demo -- --keep");
        }
    }

    /// The end, when something did not hold.
    pub fn failed(&self, error: &anyhow::Error) {
        let word = if self.colour {
            "\x1b[31;1mfailed\x1b[0m"
        } else {
            "failed"
        };
        println!("\n{word}: {error:#}");
    }

    fn bold(&self, text: &str) -> String {
        self.paint("1", text)
    }

    fn dim(&self, text: &str) -> String {
        self.paint("2", text)
    }

    fn green(&self, text: &str) -> String {
        self.paint("32", text)
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A time with a sensible number of digits.
pub fn shown(time: Duration) -> String {
    match time.as_millis() {
        short @ 0..1000 => format!("{short} ms"),
        _ => format!("{:.1} s", time.as_secs_f64()),
    }
}
