// Package cluster runs a real Kubernetes control plane on this machine: etcd, API server, controller manager
// and scheduler, with simulated nodes. It needs Go and a checkout, no container and no privilege. It is made for
// Linux and macOS and tested on Linux.
//
// The components are separate processes of programs that package build builds. They listen on loopback only and
// know nobody without a certificate or a token of this one control plane. They end with the process that started
// them, even if that is killed.
//
// No kubelet runs: a pod that is "running" is a status, not a process. Nothing enforces a NetworkPolicy.
package cluster

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"k8s.io/apimachinery/pkg/util/wait"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	api "k8s.io/client-go/tools/clientcmd/api"

	"github.com/tenantry/tenantry/local/build"
)

// patience is how long one component may take until it is ready.
const patience = 5 * time.Minute

// Options of a control plane. The zero value is one that leaves nothing behind.
type Options struct {
	// Dir is where state, logs and the kubeconfig go. It is kept, and a later control plane in it has the
	// objects of the earlier one. Empty: a directory of mode 0700 that Close removes, and that the next
	// start removes if this process is killed.
	Dir string
	// Nodes to simulate. Default: DefaultNodes.
	Nodes []Node
	// Contexts of the kubeconfig, beside the current one, which is named local. All are the same.
	Contexts []string
	// Progress is told what takes time. Default: nobody.
	Progress io.Writer
}

// A Component is one process of a control plane.
type Component string

// The components, in the order in which they are started.
const (
	Etcd              Component = "etcd"
	APIServer         Component = "kube-apiserver"
	ControllerManager Component = "kube-controller-manager"
	Scheduler         Component = "kube-scheduler"
	Kwok              Component = "kwok"
)

// A Cluster is a running control plane. Its methods that change it are not for several goroutines at once.
type Cluster struct {
	dir       *os.File // locked
	keep      bool
	contexts  []string
	server    string     // the API server's URL
	authority *authority // of the API server and its clients
	config    *rest.Config
	commands  []command
	processes map[Component]*process
	died      sync.Once
	dead      chan struct{}
	err       error // valid once dead is closed
}

// A command starts a component, any number of times.
type command struct {
	component Component
	binary    string
	args      []string
	ready     func(context.Context) error
}

// Start builds what is not yet built, starts a control plane and returns when it is ready: the API server
// serves, controllers work and the nodes are ready. The caller closes it.
func Start(ctx context.Context, o Options) (*Cluster, error) {
	if o.Progress == nil {
		o.Progress = io.Discard
	}
	if o.Nodes == nil {
		o.Nodes = DefaultNodes()
	}
	controlPlane, err := build.ControlPlane.Binary(ctx, o.Progress)
	if err != nil {
		return nil, err
	}
	kwok, err := build.Kwok.Binary(ctx, o.Progress)
	if err != nil {
		return nil, err
	}
	// Another process may take a free port before a component does; then all is tried again with others.
	for attempt := 1; ; attempt++ {
		c := &Cluster{keep: o.Dir != "", contexts: append([]string{"local"}, o.Contexts...), processes: map[Component]*process{}, dead: make(chan struct{})}
		if c.keep {
			c.dir, err = ownDir(o.Dir)
		} else {
			c.dir, err = privateDir()
		}
		if err != nil {
			return nil, fmt.Errorf("taking a directory: %w", err)
		}
		err = c.start(ctx, controlPlane, kwok, o)
		if err == nil {
			return c, nil
		}
		err = errors.Join(err, c.Close())
		if attempt == 3 || !strings.Contains(err.Error(), "address already in use") {
			return nil, err
		}
		fmt.Fprintln(o.Progress, "another process took a port: trying again")
	}
}

// Kubeconfig is the path of an administrator's.
func (c *Cluster) Kubeconfig() string { return filepath.Join(c.dir.Name(), "kubeconfig") }

// ExpiredKubeconfig writes one like Kubeconfig whose client certificate has expired, and returns its path.
func (c *Cluster) ExpiredKubeconfig() (string, error) {
	const name = "expired.kubeconfig"
	data, err := c.kubeconfig(time.Now().Add(-time.Hour), "admin", "system:masters")
	if err != nil {
		return "", err
	}
	return filepath.Join(c.dir.Name(), name), c.write(map[string][]byte{name: data})
}

// Config is an administrator's, without a limit on requests.
func (c *Cluster) Config() *rest.Config { return rest.CopyConfig(c.config) }

// Dead is closed when a component has ended by itself; Err then tells which. The others are still there.
func (c *Cluster) Dead() <-chan struct{} { return c.dead }

// Err may be called once Dead is closed.
func (c *Cluster) Err() error { return c.err }

// Stop kills a component, as the death of its machine would. The others stay and miss it.
func (c *Cluster) Stop(component Component) error {
	p, err := c.process(component)
	if err != nil {
		return err
	}
	if err := p.stop(); err != nil {
		return fmt.Errorf("stopping %s: %w", component, err)
	}
	return nil
}

// Restart stops a component, unless it is stopped already, starts it on the same port with the same data, and
// returns when it is ready.
func (c *Cluster) Restart(ctx context.Context, component Component) error {
	if err := c.Stop(component); err != nil {
		return err
	}
	i := slices.IndexFunc(c.commands, func(k command) bool { return k.component == component })
	return c.run(ctx, c.commands[i])
}

// Pause makes a component stand still, as a machine or a disk that hangs does: its connections stay open and
// nobody answers. It does so in a moment, and maybe not yet when Pause returns. Resume, Stop and Close end that.
func (c *Cluster) Pause(component Component) error { return c.signal(component, syscall.SIGSTOP) }

// Resume makes a paused component go on.
func (c *Cluster) Resume(component Component) error { return c.signal(component, syscall.SIGCONT) }

func (c *Cluster) signal(component Component, signal syscall.Signal) error {
	p, err := c.process(component)
	if err != nil {
		return err
	}
	if err := p.cmd.Process.Signal(signal); err != nil {
		return fmt.Errorf("sending %s to %s: %w", signal, component, err)
	}
	return nil
}

func (c *Cluster) process(component Component) (*process, error) {
	p, ok := c.processes[component]
	if !ok {
		return nil, fmt.Errorf("there is no component %q", component)
	}
	return p, nil
}

// Close ends all components, the last started first, and removes the directory unless the caller named it.
func (c *Cluster) Close() error {
	var errs []error
	for _, k := range slices.Backward(c.commands) {
		if c.processes[k.component] != nil { // else the start failed before it
			errs = append(errs, c.Stop(k.component))
		}
	}
	if !c.keep {
		errs = append(errs, os.RemoveAll(c.dir.Name()))
	}
	return errors.Join(append(errs, c.dir.Close())...)
}

// start leaves in c.processes what it has started, even when it fails.
func (c *Cluster) start(ctx context.Context, controlPlane, kwok string, o Options) error {
	at := func(name string) string { return filepath.Join(c.dir.Name(), name) }
	ports, err := freePorts(3)
	if err != nil {
		return err
	}
	storage := fmt.Sprintf("https://127.0.0.1:%d", ports[0])
	peer := fmt.Sprintf("https://127.0.0.1:%d", ports[1])
	c.server = fmt.Sprintf("https://127.0.0.1:%d", ports[2])
	// Two authorities: who may talk to the API server may not talk past it to etcd.
	storageClient, err := c.writeStorageCertificates()
	if err != nil {
		return err
	}
	if err := c.writeCertificates(); err != nil {
		return err
	}
	if c.config, err = clientcmd.BuildConfigFromFlags("", at("kubeconfig")); err != nil {
		return err
	}
	c.config.QPS = -1
	apiClient, err := rest.HTTPClientFor(c.config)
	if err != nil {
		return err
	}
	client, err := kubernetes.NewForConfigAndClient(c.config, apiClient)
	if err != nil {
		return err
	}

	c.commands = []command{
		{Etcd, controlPlane, []string{
			"etcd", "--name=local", "--data-dir=" + at("etcd"), "--log-level=warn",
			"--unsafe-no-fsync", // survives the death of a process, not that of the machine
			"--listen-client-urls=" + storage, "--advertise-client-urls=" + storage,
			"--listen-peer-urls=" + peer, "--initial-advertise-peer-urls=" + peer, "--initial-cluster=local=" + peer,
			"--force-new-cluster=" + fmt.Sprint(exists(at("etcd"))), // the peer's port is another one each time
			"--client-cert-auth", "--trusted-ca-file=" + at("etcd-ca.crt"), "--cert-file=" + at("etcd.crt"), "--key-file=" + at("etcd.key"),
			"--peer-client-cert-auth", "--peer-trusted-ca-file=" + at("etcd-ca.crt"), "--peer-cert-file=" + at("etcd.crt"), "--peer-key-file=" + at("etcd.key"),
		}, func(ctx context.Context) error { return get(ctx, storageClient, storage+"/readyz") }},
		{APIServer, controlPlane, []string{
			"kube-apiserver", "--etcd-servers=" + storage,
			"--etcd-cafile=" + at("etcd-ca.crt"), "--etcd-certfile=" + at("etcd.crt"), "--etcd-keyfile=" + at("etcd.key"),
			"--bind-address=127.0.0.1", "--advertise-address=127.0.0.1", fmt.Sprintf("--secure-port=%d", ports[2]),
			"--tls-cert-file=" + at("apiserver.crt"), "--tls-private-key-file=" + at("apiserver.key"), "--client-ca-file=" + at("ca.crt"),
			"--anonymous-auth=false", "--authorization-mode=RBAC",
			"--allow-privileged", // so that Pod Security is what refuses it
			"--service-cluster-ip-range=10.96.0.0/16", "--endpoint-reconciler-type=none",
			"--service-account-issuer=https://kubernetes.default.svc",
			"--service-account-key-file=" + at("sa.key"), "--service-account-signing-key-file=" + at("sa.key"),
		}, func(ctx context.Context) error { return get(ctx, apiClient, c.server+"/readyz") }},
		{ControllerManager, controlPlane, []string{
			"kube-controller-manager", "--kubeconfig=" + at("kube-controller-manager.kubeconfig"), "--secure-port=0",
			"--leader-elect=false", "--use-service-account-credentials", "--kube-api-qps=500", "--kube-api-burst=1000",
			"--service-account-private-key-file=" + at("sa.key"), "--root-ca-file=" + at("ca.crt"),
		}, func(ctx context.Context) error { return controllersWork(ctx, client) }},
		{Scheduler, controlPlane, []string{
			"kube-scheduler", "--kubeconfig=" + at("kube-scheduler.kubeconfig"), "--secure-port=0",
			"--leader-elect=false", "--kube-api-qps=500", "--kube-api-burst=1000",
		}, func(context.Context) error { return nil }},
		{Kwok, kwok, []string{
			"--kubeconfig=" + at("kwok.kubeconfig"), "--manage-nodes-with-annotation-selector=" + simulated + "=fake",
		}, func(ctx context.Context) error { return addNodes(ctx, client, o.Nodes) }},
	}
	for _, k := range c.commands {
		begin := time.Now()
		if err := c.run(ctx, k); err != nil {
			return err
		}
		fmt.Fprintf(o.Progress, "%s: ready in %s\n", k.component, time.Since(begin).Round(10*time.Millisecond))
	}
	return nil
}

// run starts a component and returns when it is ready. From then on its end is that of the control plane, unless
// it is stopped.
func (c *Cluster) run(ctx context.Context, k command) error {
	p, err := startProcess(c.dir.Name(), string(k.component), k.binary, k.args...)
	if err != nil {
		return err
	}
	c.processes[k.component] = p
	if err := p.waitReady(ctx, k.ready); err != nil {
		return err
	}
	go func() {
		<-p.ended
		if !p.stopped.Load() {
			c.died.Do(func() {
				c.err = p.err
				close(c.dead)
			})
		}
	}()
	return nil
}

// waitReady asks until the answer is good, the process ends or it takes too long.
func (p *process) waitReady(ctx context.Context, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	go func() {
		select {
		case <-p.ended:
			stop(p.err)
		case <-ctx.Done():
		}
	}()
	var last error
	err := wait.PollUntilContextCancel(ctx, 50*time.Millisecond, true, func(ctx context.Context) (bool, error) {
		last = ready(ctx)
		return last == nil, nil
	})
	if err == nil {
		return nil
	}
	return errors.Join(fmt.Errorf("waiting for %s: %w", p.name, context.Cause(ctx)), last)
}

// get fails unless the answer is 200.
func get(ctx context.Context, client *http.Client, url string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, http.NoBody)
	if err != nil {
		return err
	}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = resp.Body.Close() }()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s: %s", url, resp.Status, body)
	}
	return err
}

// writeStorageCertificates writes what etcd and its one client, the API server, need.
func (c *Cluster) writeStorageCertificates() (*http.Client, error) {
	ca, err := newAuthority("tenantry-local-etcd")
	if err != nil {
		return nil, err
	}
	p, err := ca.issue(time.Now().Add(lifetime), "etcd")
	if err != nil {
		return nil, err
	}
	if err := c.write(map[string][]byte{"etcd-ca.crt": ca.pem, "etcd.crt": p.certificate, "etcd.key": p.key}); err != nil {
		return nil, err
	}
	certificate, err := tls.X509KeyPair(p.certificate, p.key)
	if err != nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	pool.AddCert(ca.certificate)
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{
		RootCAs: pool, Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS13,
	}}}, nil
}

// writeCertificates writes the API server's certificate and a kubeconfig for each of its clients.
func (c *Cluster) writeCertificates() (err error) {
	if c.authority, err = newAuthority("tenantry-local"); err != nil {
		return err
	}
	until := time.Now().Add(lifetime)
	serving, err := c.authority.issue(until, "kube-apiserver")
	if err != nil {
		return err
	}
	signing, err := signingKey()
	if err != nil {
		return err
	}
	files := map[string][]byte{"ca.crt": c.authority.pem, "apiserver.crt": serving.certificate, "apiserver.key": serving.key, "sa.key": signing}
	for file, user := range map[string][]string{
		"kubeconfig":                         {"admin", "system:masters"},
		"kube-controller-manager.kubeconfig": {"system:kube-controller-manager"},
		"kube-scheduler.kubeconfig":          {"system:kube-scheduler"},
		"kwok.kubeconfig":                    {"kwok", "system:masters"},
	} {
		if files[file], err = c.kubeconfig(until, user[0], user[1:]...); err != nil {
			return err
		}
	}
	return c.write(files)
}

// kubeconfig is that of a new user, whose certificate is valid until a time.
func (c *Cluster) kubeconfig(until time.Time, name string, groups ...string) ([]byte, error) {
	p, err := c.authority.issue(until, name, groups...)
	if err != nil {
		return nil, err
	}
	contexts := map[string]*api.Context{}
	for _, context := range c.contexts {
		contexts[context] = &api.Context{Cluster: "local", AuthInfo: name}
	}
	return clientcmd.Write(api.Config{
		Clusters:       map[string]*api.Cluster{"local": {Server: c.server, CertificateAuthorityData: c.authority.pem}},
		AuthInfos:      map[string]*api.AuthInfo{name: {ClientCertificateData: p.certificate, ClientKeyData: p.key}},
		Contexts:       contexts,
		CurrentContext: c.contexts[0],
	})
}

func (c *Cluster) write(files map[string][]byte) error {
	for name, data := range files {
		if err := os.WriteFile(filepath.Join(c.dir.Name(), name), data, 0o600); err != nil {
			return err
		}
	}
	return nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

// freePorts finds n ports of loopback that nobody listens on.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer func() { _ = l.Close() }()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}
