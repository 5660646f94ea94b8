//! The command line: one file for each verb.
//!
//! A verb prints through a [`Screen`], so that a test can read what it printed, and returns its
//! exit code. Results go to stdout, progress and errors to stderr.

mod age;
mod agent;
mod applications;
mod blame;
mod crd;
mod diff;
mod explain;
mod history;
mod install;
mod kinds;
mod logging;
mod reference;
mod render;
mod requests;
mod rollback;
mod screen;
mod source;
mod status;
mod sync;
mod table;
mod temporary;
mod uninstall;

use std::io::{self, IsTerminal as _, Write as _};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::cluster::{KubeCluster, connect};
use crate::live::shown;
use screen::Screen;

/// The exit code for a command line that cannot be understood. Not clap's 2, because 2 means
/// something else for some verbs.
const USAGE: u8 = 64;
/// The namespace in which towline and its Applications are looked for.
const NAMESPACE: &str = "towline-system";

/// Keeps a Kubernetes cluster equal to what a Git repository declares, by pulling.
#[derive(Debug, Parser)]
#[command(
    name = "towline",
    version,
    disable_help_subcommand = true,
    after_help = "Exit codes: 0 done, 1 failed, 64 the command line cannot be understood. \
                  Verbs with others say so in their own help."
)]
pub struct Cli {
    /// The context of the kubeconfig (KUBECONFIG or ~/.kube/config); default its current one
    #[arg(long, global = true, value_name = "NAME")]
    context: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    Render(render::RenderArgs),
    Diff(diff::DiffArgs),
    Status(status::StatusArgs),
    Explain(explain::ExplainArgs),
    Blame(blame::BlameArgs),
    Sync(sync::SyncArgs),
    History(history::HistoryArgs),
    Rollback(rollback::RollbackArgs),
    Retry(requests::RetryArgs),
    Suspend(requests::SuspendArgs),
    Resume(requests::ResumeArgs),
    Install(install::InstallArgs),
    Uninstall(uninstall::UninstallArgs),
    Agent(agent::AgentArgs),
    /// Print the CustomResourceDefinition of Applications
    Crd,
    /// Print docs/reference.md
    #[command(hide = true)]
    Reference,
}

/// How results are printed for scripts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    Json,
    Yaml,
}

/// Where an Application is.
#[derive(Debug, Args)]
struct Namespace {
    /// The namespace of the Application
    #[arg(
        short,
        long,
        value_name = "NAME",
        env = "TOWLINE_NAMESPACE",
        hide_env_values = true,
        default_value = NAMESPACE
    )]
    namespace: String,
}

/// Parses the command line, does what it says, and reports errors on stderr.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() { USAGE } else { 0 };
            // Nobody is left to tell when the terminal is gone.
            let _ = error.print();
            return code.into();
        }
    };
    let (mut out, mut err) = (io::BufWriter::new(io::stdout().lock()), io::stderr());
    let mut screen = Screen::new(&mut out, &mut err, colours());
    let (failed, cut_short) = (cli.failed(), cli.cut_short());
    let result = run(cli, &mut screen);
    let flushed = out.flush();
    match result.and_then(|code| Ok(flushed.map(|()| code)?)) {
        Ok(code) => code.into(),
        // `towline … | head` has read enough.
        Err(error) if is_broken_pipe(&error) => cut_short.into(),
        Err(error) => {
            for line in format!("error: {error:#}").lines() {
                let _ = writeln!(err, "{}", shown::escaped(line));
            }
            failed.into()
        }
    }
}

impl Cli {
    /// The exit code for an error: `diff` has 1 for differences, `explain` for what it explains.
    fn failed(&self) -> u8 {
        if matches!(self.verb, Verb::Diff(_) | Verb::Explain(_)) {
            2
        } else {
            1
        }
    }

    /// The exit code when nobody reads any more what is printed: `diff` prints differences only.
    fn cut_short(&self) -> u8 {
        u8::from(matches!(self.verb, Verb::Diff(_)))
    }
}

/// Does what the command line says; returns the exit code.
///
/// # Errors
/// What stands in the way, for a person to read.
fn run(cli: Cli, screen: &mut Screen<'_>) -> anyhow::Result<u8> {
    let context = cli.context.as_deref();
    match cli.verb {
        Verb::Render(args) => render::run(&args, screen),
        Verb::Diff(args) => wait(async {
            let client = connect(context).await?;
            let namespace = client.default_namespace().to_owned();
            diff::run(&args, &KubeCluster::new(client), &namespace, screen).await
        }),
        Verb::Status(args) => {
            wait(async { status::run(&args, &open(context).await?, screen).await })
        }
        Verb::Explain(args) => wait(async {
            let client = connect(context).await?;
            let namespace = client.default_namespace().to_owned();
            explain::run(&args, &KubeCluster::new(client), &namespace, screen).await
        }),
        Verb::Blame(args) => wait(async {
            let client = connect(context).await?;
            let namespace = client.default_namespace().to_owned();
            blame::run(&args, &KubeCluster::new(client), &namespace, screen).await
        }),
        Verb::Sync(args) => wait(async { sync::run(&args, &open(context).await?, screen).await }),
        Verb::History(args) if args.notes => {
            let place = match history::notes::of_clone(&args)? {
                Some(place) => place,
                None => wait(async {
                    history::notes::of_application(&args, &open(context).await?).await
                })?,
            };
            history::notes::run(&args, &place, screen)
        }
        Verb::History(args) => {
            wait(async { history::run(&args, &open(context).await?, screen).await })
        }
        Verb::Rollback(args) => {
            let subject = wait(async { rollback::read(&args, &open(context).await?).await })?;
            rollback::run(&args, &subject, &mut ask, screen)
        }
        Verb::Retry(args) => {
            wait(async { requests::retry(&args, &open(context).await?, screen).await })
        }
        Verb::Suspend(args) => {
            wait(async { requests::suspend(&args, &open(context).await?, screen).await })
        }
        Verb::Resume(args) => {
            wait(async { requests::resume(&args, &open(context).await?, screen).await })
        }
        Verb::Install(args) => install::run(&args, screen),
        Verb::Uninstall(args) => {
            wait(async { uninstall::run(&args, &open(context).await?, screen).await })
        }
        Verb::Agent(args) => agent::run(args, context),
        Verb::Crd => {
            screen.print(&crd::text())?;
            Ok(0)
        }
        Verb::Reference => {
            screen.print(&reference::text())?;
            Ok(0)
        }
    }
}

/// Runs a verb that talks to a cluster.
fn wait<T>(verb: impl Future<Output = anyhow::Result<T>>) -> anyhow::Result<T> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(verb)
}

async fn open(context: Option<&str>) -> anyhow::Result<KubeCluster> {
    Ok(KubeCluster::new(connect(context).await?))
}

/// Colours only on a terminal that is not asked to go without (<https://no-color.org>).
fn colours() -> bool {
    let refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !refused && std::env::var_os("TERM").is_none_or(|t| t != "dumb")
}

/// Asks a question on the terminal; none where there is no terminal.
fn ask(question: &str) -> io::Result<Option<bool>> {
    if !io::stdin().is_terminal() {
        return Ok(None);
    }
    let mut err = io::stderr();
    write!(err, "{}", shown::escaped(question))?;
    err.flush()?;
    let mut answer = String::new();
    io::stdin().read_line(&mut answer)?;
    let answer = answer.trim().to_ascii_lowercase();
    Ok(Some(matches!(answer.as_str(), "y" | "yes")))
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn what_kustomize_builds_with_plugins_is_refused() {
        for flag in ["--enable-helm", "--enable-alpha-plugins", "--enable-exec"] {
            let error = Cli::try_parse_from(["towline", "render", ".", flag]).expect_err(flag);
            assert_eq!(
                error.kind(),
                clap::error::ErrorKind::UnknownArgument,
                "{flag}"
            );
        }
    }

    #[test]
    fn an_error_of_diff_is_told_from_a_difference() {
        let code = |line: &[&str]| Cli::try_parse_from(line).expect("valid").failed();
        assert_eq!(code(&["towline", "diff", "."]), 2);
        assert_eq!(code(&["towline", "sync", "shop"]), 1);
    }

    #[test]
    fn the_context_may_stand_anywhere() {
        for line in [
            ["towline", "--context=a", "status"],
            ["towline", "status", "--context=a"],
        ] {
            let cli = Cli::try_parse_from(line).expect("valid");
            assert_eq!(cli.context.as_deref(), Some("a"));
        }
    }
}
