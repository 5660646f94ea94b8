//! How long `towline render` takes, as a whole process, for a base and an overlay of 20 to 20,000
//! services, and how much memory; next to `kustomize build` where that ends in reasonable time, and
//! to the floor: a process that reads, parses and prints the same files with the same YAML reader
//! and printer. A service is six objects: Deployment, Service, ServiceAccount,
//! HorizontalPodAutoscaler, PodDisruptionBudget, and a generated ConfigMap.
//!
//! Before each run, memory is taken and left again. The host of a virtual machine may take back what
//! was not used for a second, and hands it out slowly: up to a millisecond for each mebibyte, which
//! tells more of the host than of a renderer. All get the memory in the same state; for the largest
//! tree a run without that is printed, too.
//!
//! kustomize takes the square of the number of objects: it runs up to 600 services, and up to
//! `TOWLINE_BENCH_KUSTOMIZE`. Other sizes than the usual ones are given as arguments.
#![expect(clippy::print_stdout, reason = "a bench prints its figures")]

use std::fmt::Write as _;
use std::fs;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use towline::yaml::{Duplicates, Resolver, SEPARATOR, emit_view, read_documents, resolve_view};

/// That of the `towline` binary, so that the floor has it as well.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const SIZES: [usize; 5] = [20, 200, 600, 2_000, 20_000];
/// How many times the floor a render may take. Below this size, starting a process is most of it.
const MOST: f64 = 2.5;
const FROM: usize = 200;
/// How many times as long ten times as many may take.
const MOST_FOR_TEN_TIMES: f64 = 11.0;
/// The first argument of this bench as the floor's process; the directory follows.
const FLOOR: &str = "--floor";
/// The same as a process that takes and leaves memory; see [`provide`].
const MEMORY: &str = "--memory";
/// How much, in bytes: more than any of the others needs.
const PROVIDED: usize = 512 << 20;
/// How long a host may take to take memory back.
const IDLE: Duration = Duration::from_secs(5);

fn main() -> anyhow::Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, dir] = arguments.as_slice()
        && first == FLOOR
    {
        return floor(Path::new(dir));
    }
    if arguments.first().is_some_and(|first| first == MEMORY) {
        provide();
        return Ok(());
    }
    let given: Vec<usize> = arguments.iter().filter_map(|a| a.parse().ok()).collect();
    let sizes = if given.is_empty() { &SIZES[..] } else { &given };
    let most_for_kustomize = match std::env::var("TOWLINE_BENCH_KUSTOMIZE") {
        Ok(text) => text.parse()?,
        Err(_) => 600,
    };
    let kustomize = towline_testcluster::kustomize()?;
    let dir = tempfile::tempdir()?;
    let mut missed = Vec::new();
    let mut times = Vec::new();
    for services in sizes.iter().copied() {
        let root = dir.path().join(services.to_string());
        write_tree(&root, services)?;
        let kustomize = (services <= most_for_kustomize).then_some(kustomize.as_path());
        times.push((services, measure(&root, services, kustomize, &mut missed)?));
        fs::remove_dir_all(&root)?;
    }
    for (services, time) in &times {
        let Some((_, ten_times)) = times.iter().find(|(other, _)| *other == services * 10) else {
            continue;
        };
        let ratio = ten_times.as_secs_f64() / time.as_secs_f64();
        println!(
            "{} services take {ratio:.1} times as long as {services}",
            services * 10
        );
        if *services >= 2_000 && ratio > MOST_FOR_TEN_TIMES {
            missed.push(format!("{ratio:.1} times as long for ten times {services}"));
        }
    }
    let targets = format!(
        "at most {MOST} times the floor from {FROM} services; {MOST_FOR_TEN_TIMES} times as long for \
         ten times 2,000; memory at most 8 times the output and 32 MiB; the bytes of kustomize"
    );
    println!(
        "target: {targets}: {}",
        if missed.is_empty() { "met" } else { "MISSED" }
    );
    ensure!(missed.is_empty(), "missed: {}", missed.join("; "));
    Ok(())
}

/// Measures one tree, prints a line, and returns the time of a render.
fn measure(
    root: &Path,
    services: usize,
    kustomize: Option<&Path>,
    missed: &mut Vec<String>,
) -> anyhow::Result<Duration> {
    let overlay = root.join("prod");
    let render = || command(env!("CARGO_BIN_EXE_towline"), &["render"], &overlay);
    let floor = || command(std::env::current_exe()?, &[FLOOR], root);
    let memory = || command(std::env::current_exe()?, &[MEMORY], root);
    let runs = if services > 2_000 { 5 } else { 9 };
    // One after the other, so that what else the machine does meets both alike.
    let (mut best, mut least) = (Duration::MAX, Duration::MAX);
    for _ in 0..runs {
        time(memory()?)?;
        least = least.min(time(floor()?)?);
        time(memory()?)?;
        best = best.min(time(render()?)?);
    }
    if services > 2_000 {
        idle();
        let unprovided = milliseconds(time(render()?)?);
        println!(
            "{services:>6} services   render {unprovided:>8.1} ms after {IDLE:?} in which nobody used the memory"
        );
    }
    let (output, peak) = output_and_peak(render()?)?;
    let most = 8 * output.len() as u64 + (32 << 20);
    let ratio = best.as_secs_f64() / least.as_secs_f64();
    print!(
        "{services:>6} services   render {:>8.1} ms   floor {:>8.1} ms   {ratio:.2} times   peak {:>4} of {:>4} MiB",
        milliseconds(best),
        milliseconds(least),
        peak >> 20,
        most >> 20,
    );
    if services >= FROM && ratio > MOST {
        missed.push(format!(
            "{services} services take {ratio:.2} times the floor"
        ));
    }
    if peak > most {
        missed.push(format!("{services} services take {} MiB", peak >> 20));
    }
    if let Some(kustomize) = kustomize {
        let build = || command(kustomize, &["build"], &overlay);
        let reference = build()?.output()?;
        ensure!(reference.status.success(), "kustomize failed");
        let same = reference.stdout == output;
        if !same {
            missed.push(format!("{services} services: not what kustomize prints"));
        }
        let mut first = Duration::MAX;
        for _ in 0..2 {
            time(memory()?)?;
            first = first.min(time(build()?)?);
        }
        print!(
            "   kustomize {:>8.0} ms, {:.0} times as long, {}",
            milliseconds(first),
            first.as_secs_f64() / best.as_secs_f64(),
            if same { "same bytes" } else { "OTHER BYTES" },
        );
    }
    println!();
    Ok(best)
}

fn command(program: impl AsRef<Path>, first: &[&str], dir: &Path) -> anyhow::Result<Command> {
    let mut command = Command::new(program.as_ref());
    command.args(first).arg(dir).stdin(Stdio::null());
    Ok(command)
}

/// How long a whole process takes whose output nobody reads.
fn time(mut command: Command) -> anyhow::Result<Duration> {
    let start = Instant::now();
    let status = command.stdout(Stdio::null()).status()?;
    let took = start.elapsed();
    ensure!(status.success(), "{command:?} failed");
    Ok(took)
}

/// What a process prints, and the most memory that it had, in bytes.
fn output_and_peak(mut command: Command) -> anyhow::Result<(Vec<u8>, u64)> {
    let mut child = command.stdout(Stdio::piped()).spawn()?;
    let mut stdout = child.stdout.take().context("a pipe was asked for")?;
    // It prints when all is rendered, and waits when the pipe is full: this is the peak.
    let mut output = vec![0];
    stdout.read_exact(&mut output)?;
    let status = fs::read_to_string(format!("/proc/{}/status", child.id()))?;
    stdout.read_to_end(&mut output)?;
    ensure!(child.wait()?.success(), "{command:?} failed");
    let peak = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB"));
    let kibibytes: u64 = peak.context("no VmHWM")?.parse()?;
    Ok((output, kibibytes * 1024))
}

fn milliseconds(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}

/// Uses memory once, so that the machine has it for the next process.
fn provide() {
    let mut memory = vec![0_u8; PROVIDED];
    for page in memory.chunks_mut(4096) {
        page[0] = 1;
    }
    std::hint::black_box(&memory);
}

/// Lets the host take memory back.
#[expect(
    clippy::disallowed_methods,
    reason = "what the host does cannot be waited for"
)]
fn idle() {
    std::thread::sleep(IDLE);
}

/// Reads, parses and prints every file below `dir`.
fn floor(dir: &Path) -> anyhow::Result<()> {
    let mut text = String::new();
    for file in files(dir)? {
        for document in read_documents(&fs::read(&file)?)? {
            let view = resolve_view(&document, Resolver::Kustomize, Duplicates::Error)?;
            emit_view(&view, &mut text);
            text.push_str(SEPARATOR);
        }
    }
    Ok(std::io::stdout().write_all(text.as_bytes())?)
}

fn files(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let mut all = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.is_dir() {
            all.extend(files(&path)?);
        } else {
            all.push(path);
        }
    }
    all.sort();
    if all.is_empty() {
        bail!("nothing in {}", dir.display());
    }
    Ok(all)
}

/// A base with a file for each service, and an overlay with everything that overlays do: namespace,
/// prefix, labels, annotations, images, replicas, patches of all and of some.
fn write_tree(root: &Path, services: usize) -> anyhow::Result<()> {
    let (base, prod) = (root.join("base"), root.join("prod"));
    fs::create_dir_all(&base)?;
    fs::create_dir_all(&prod)?;
    let (mut resources, mut generators) = (String::new(), String::new());
    let (mut replicas, mut patches) = (String::new(), String::new());
    for i in 0..services {
        let name = format!("svc-{i:05}");
        fs::write(base.join(format!("{name}.yaml")), service(&name, i))?;
        writeln!(resources, "  - {name}.yaml")?;
        write!(
            generators,
            "  - name: {name}\n    literals:\n      - LOG_LEVEL=info\n      - SERVICE={name}\n      \
             - DATABASE_URL=postgres://db-{i}.example.com:5432/app\n"
        )?;
        if i % 20 == 0 {
            write!(replicas, "  - name: {name}\n    count: 4\n")?;
        }
        if i % 10 == 0 {
            patches.push_str(&PATCH.replace("NAME", &name));
        }
    }
    let images: String = (0..50)
        .step_by(10)
        .map(|i| format!("  - name: registry.example.com/shop/app-{i}\n    newTag: 2.0.{i}\n"))
        .collect();
    fs::write(
        base.join("kustomization.yaml"),
        format!("resources:\n{resources}configMapGenerator:\n{generators}"),
    )?;
    let overlay = format!("{OVERLAY}images:\n{images}replicas:\n{replicas}patches:\n{patches}");
    Ok(fs::write(prod.join("kustomization.yaml"), overlay)?)
}

fn service(name: &str, i: usize) -> String {
    SERVICE
        .replace("NAME", name)
        .replace("IMAGE", &format!("app-{}:1.{}.0", i % 50, i % 13))
}

const OVERLAY: &str = "\
resources: [../base]
namespace: shop
namePrefix: prod-
labels:
  - pairs: {env: prod}
    includeSelectors: true
commonAnnotations: {owner: shop}
";

const PATCH: &str = r#"  - patch: |-
      apiVersion: apps/v1
      kind: Deployment
      metadata: {name: NAME}
      spec:
        template:
          spec:
            containers:
              - name: app
                env: [{name: EXTRA, value: "yes"}]
  - target: {kind: Deployment, name: NAME}
    patch: |-
      - {op: add, path: /spec/template/spec/priorityClassName, value: high}
"#;

const SERVICE: &str = r#"apiVersion: apps/v1
kind: Deployment
metadata:
  name: NAME
  labels: {app: NAME}
spec:
  replicas: 2
  selector:
    matchLabels: {app: NAME}
  template:
    metadata:
      labels: {app: NAME}
      annotations: {prometheus.io/scrape: "true", prometheus.io/port: "8080"}
    spec:
      serviceAccountName: NAME
      containers:
        - name: app
          image: registry.example.com/shop/IMAGE
          args: ["--listen=:8080", "--log-level=info"]
          env:
            - name: SERVICE
              value: NAME
            - name: POD_IP
              valueFrom:
                fieldRef: {fieldPath: status.podIP}
          envFrom:
            - configMapRef: {name: NAME}
          ports:
            - name: http
              containerPort: 8080
          resources:
            requests: {cpu: 100m, memory: 128Mi}
            limits: {memory: 256Mi}
          readinessProbe:
            httpGet: {path: /ready, port: http}
            periodSeconds: 5
          livenessProbe:
            httpGet: {path: /live, port: http}
            initialDelaySeconds: 10
          volumeMounts:
            - name: config
              mountPath: /etc/app
      volumes:
        - name: config
          configMap: {name: NAME}
---
apiVersion: v1
kind: Service
metadata:
  name: NAME
  labels: {app: NAME}
spec:
  selector: {app: NAME}
  ports:
    - name: http
      port: 80
      targetPort: http
---
apiVersion: v1
kind: ServiceAccount
metadata:
  name: NAME
---
apiVersion: autoscaling/v2
kind: HorizontalPodAutoscaler
metadata:
  name: NAME
spec:
  scaleTargetRef:
    apiVersion: apps/v1
    kind: Deployment
    name: NAME
  minReplicas: 2
  maxReplicas: 10
  metrics:
    - type: Resource
      resource:
        name: cpu
        target: {type: Utilization, averageUtilization: 70}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  name: NAME
spec:
  minAvailable: 1
  selector:
    matchLabels: {app: NAME}
"#;
