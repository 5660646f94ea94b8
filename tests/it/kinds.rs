//! Many kinds, written as people write them: what the API server makes of them is no difference.

use crate::world::World;

/// Defaults left out and spelt out, quantities in other units, empty lists, nulls, numbers in
/// quotes, and fields that the server fills in.
const ZOO: &str = r#"
apiVersion: v1
kind: ServiceAccount
metadata: {name: zoo}
imagePullSecrets: []
---
apiVersion: v1
kind: Service
metadata: {name: headless, labels: {}, annotations: null}
spec:
  clusterIP: None
  selector: {app: zoo}
  ports:
    - {name: dns, port: 53, protocol: UDP, targetPort: 53}
    - {name: dns-tcp, port: 53, protocol: TCP}
---
apiVersion: v1
kind: Secret
metadata: {name: both, creationTimestamp: null}
type: Opaque
data: {a: b25l}
stringData: {b: two}
---
apiVersion: v1
kind: PersistentVolumeClaim
metadata: {name: disk}
spec:
  accessModes: [ReadWriteOnce]
  storageClassName: none
  resources: {requests: {storage: 1024Mi}}
---
apiVersion: v1
kind: ResourceQuota
metadata: {name: quota}
spec: {hard: {pods: "100", limits.memory: 2048Mi}}
---
apiVersion: v1
kind: LimitRange
metadata: {name: limits}
spec:
  limits:
    - type: Container
      default: {cpu: 1000m, memory: 0.5Gi}
      defaultRequest: {cpu: "0.1"}
---
apiVersion: apps/v1
kind: StatefulSet
metadata: {name: db}
spec:
  serviceName: headless
  replicas: 1
  selector: {matchLabels: {app: db}}
  template:
    metadata: {labels: {app: db}, creationTimestamp: null}
    spec:
      containers:
        - name: db
          image: postgres:16
          ports: [{containerPort: 5432}]
          env:
            - {name: EMPTY, value: ""}
            - name: POD
              valueFrom: {fieldRef: {fieldPath: metadata.name}}
          resources: {limits: {cpu: 1000m, memory: 1024Mi}, requests: {cpu: 0.5}}
          volumeMounts: [{name: data, mountPath: /data, readOnly: false}]
      volumes: [{name: scratch, emptyDir: {}}]
      nodeSelector: {}
      tolerations: []
  volumeClaimTemplates:
    - metadata: {name: data, creationTimestamp: null}
      spec:
        accessModes: [ReadWriteOnce]
        resources: {requests: {storage: 1Gi}}
      status: {}
status: {}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 1
  strategy: {type: RollingUpdate, rollingUpdate: {maxUnavailable: 1, maxSurge: 25%}}
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      serviceAccount: zoo
      securityContext: {}
      containers:
        - name: web
          image: nginx
          ports:
            - {containerPort: 8080, name: http}
            - {containerPort: 8080, protocol: UDP, name: quic}
          livenessProbe: {httpGet: {path: /, port: http}, periodSeconds: 10}
          lifecycle: {}
          command: []
        - {name: sidecar, image: busybox, args: ["sleep", "1000000"]}
---
apiVersion: apps/v1
kind: DaemonSet
metadata: {name: agent}
spec:
  selector: {matchLabels: {app: agent}}
  template:
    metadata: {labels: {app: agent}}
    spec:
      hostNetwork: false
      containers: [{name: agent, image: busybox}]
---
apiVersion: batch/v1
kind: CronJob
metadata: {name: nightly}
spec:
  schedule: "0 3 * * *"
  jobTemplate:
    metadata: {creationTimestamp: null}
    spec:
      template:
        spec:
          restartPolicy: OnFailure
          containers: [{name: nightly, image: busybox}]
---
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: {name: web}
spec:
  rules:
    - host: zoo.example.com
      http:
        paths:
          - {path: /, pathType: Prefix, backend: {service: {name: headless, port: {number: 53}}}}
---
apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: deny}
spec: {podSelector: {}, policyTypes: [Ingress], ingress: []}
---
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata: {name: web}
spec: {maxUnavailable: 1, selector: {matchLabels: {app: web}}}
---
apiVersion: scheduling.k8s.io/v1
kind: PriorityClass
metadata: {name: zoo-priority, namespace: ignored}
value: 1000
globalDefault: false
---
apiVersion: v1
kind: ConfigMap
metadata: {name: text}
data:
  empty: ""
  number: "1"
  lines: |
    one
    two
binaryData: {raw: AAEC}
"#;

#[test]
fn what_the_api_server_makes_of_manifests_is_no_drift_even_after_a_restart() {
    let mut world = World::new("kinds");
    world.commit(&[("zoo/zoo.yaml", ZOO)]);
    world.create(&world.application("zoo", "zoo"));
    world.wait_condition("zoo", "Synced", "True", "Synced");
    world.assert_quiet();
    let mark = world.plane.audit_mark();
    world.refresh("zoo");
    assert_eq!(world.object_writes(mark), [""; 0]);
    world.stop_agent();
    world.start();
    world.refresh("zoo");
    world.wait_condition("zoo", "Synced", "True", "Synced");
    world.assert_quiet();
    assert_eq!(world.object_writes(mark), [""; 0]);
}
