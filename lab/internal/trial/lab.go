package trial

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"time"

	"k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"

	"github.com/meshpol/meshpol/lab/internal/conn"
	"github.com/meshpol/meshpol/lab/internal/shop/fleet"
	"github.com/meshpol/meshpol/lab/internal/state"
)

// Namespace is where the sample system runs.
const Namespace = fleet.Namespace

// The resources that trials read and write.
var (
	VirtualServices  = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "virtualservices"}
	DestinationRules = schema.GroupVersionResource{Group: "networking.istio.io", Version: "v1", Resource: "destinationrules"}
	Pods             = schema.GroupVersionResource{Version: "v1", Resource: "pods"}
	Leases           = schema.GroupVersionResource{Group: "coordination.k8s.io", Version: "v1", Resource: "leases"}
)

// Lab is a running lab with everything a trial needs of it.
type Lab struct {
	conn.Status
	// Meshpol is the path of the binary under trial.
	Meshpol string
	// Client reads and writes the lab's objects as its administrator.
	Client dynamic.Interface
	// Config is the administrator's.
	Config  *rest.Config
	Control *conn.Control
	shop    *fleet.Control
}

// Open connects to a running lab.
func Open(ctx context.Context, name, meshpol string) (*Lab, error) {
	place, err := state.New(name)
	if err != nil {
		return nil, err
	}
	l := &Lab{Meshpol: meshpol, Control: conn.NewControl(place)}
	if l.Status, err = l.Control.Status(ctx); err != nil {
		return nil, fmt.Errorf("asking lab %s for its status: %w; start it with: lab up --name %s", name, err, name)
	}
	dial, err := conn.Dial(ctx, name)
	if err != nil {
		return nil, err
	}
	l.shop = fleet.NewControl(dial)
	if l.Config, err = clientcmd.BuildConfigFromFlags("", l.Kubeconfig); err != nil {
		return nil, fmt.Errorf("reading the kubeconfig of lab %s: %w", name, err)
	}
	l.Config.QPS, l.Config.Burst = 200, 400
	l.Client, err = dynamic.NewForConfig(l.Config)
	return l, err
}

// Objects is every VirtualService and DestinationRule of the shop as canonical JSON, by kind and name, without what
// the API server keeps for itself: two equal maps are two equal meshes.
func (l *Lab) Objects(ctx context.Context) (map[string]string, error) {
	out := map[string]string{}
	for _, r := range []schema.GroupVersionResource{VirtualServices, DestinationRules} {
		list, err := l.Client.Resource(r).Namespace(Namespace).List(ctx, metav1.ListOptions{})
		if err != nil {
			return nil, fmt.Errorf("listing %s: %w", r.Resource, err)
		}
		for _, o := range list.Items {
			text, err := Canonical(&o)
			if err != nil {
				return nil, err
			}
			out[o.GetKind()+"/"+o.GetName()] = text
		}
	}
	return out, nil
}

// Canonical is an object as JSON with sorted keys, without what the API server keeps for itself.
func Canonical(o *unstructured.Unstructured) (string, error) {
	c := o.DeepCopy()
	for _, f := range []string{"resourceVersion", "managedFields", "uid", "creationTimestamp", "generation"} {
		unstructured.RemoveNestedField(c.Object, "metadata", f)
	}
	delete(c.Object, "status")
	b, err := json.Marshal(c.Object)
	if err != nil {
		return "", fmt.Errorf("encoding %s %s: %w", o.GetKind(), o.GetName(), err)
	}
	return string(b), nil
}

// Apply creates or replaces objects given as Go values; every object must name its kind's resource.
func (l *Lab) Apply(ctx context.Context, r schema.GroupVersionResource, o map[string]any) error {
	u := &unstructured.Unstructured{Object: o}
	api := l.Client.Resource(r).Namespace(Namespace)
	live, err := api.Get(ctx, u.GetName(), metav1.GetOptions{})
	switch {
	case errors.IsNotFound(err):
		_, err = api.Create(ctx, u, metav1.CreateOptions{FieldManager: "kubectl"})
	case err == nil:
		u.SetResourceVersion(live.GetResourceVersion())
		_, err = api.Update(ctx, u, metav1.UpdateOptions{FieldManager: "kubectl"})
	}
	if err != nil {
		return fmt.Errorf("applying %s %s: %w", u.GetKind(), u.GetName(), err)
	}
	return nil
}

// Clear deletes every VirtualService and DestinationRule of the shop, every Lease and record of meshpol, and every
// behaviour of the shop's pods: a trial begins on an empty slate whatever ran before.
func (l *Lab) Clear(ctx context.Context) error {
	for _, r := range []schema.GroupVersionResource{VirtualServices, DestinationRules} {
		if err := l.Client.Resource(r).Namespace(Namespace).DeleteCollection(ctx, metav1.DeleteOptions{}, metav1.ListOptions{}); err != nil {
			return fmt.Errorf("deleting all %s: %w", r.Resource, err)
		}
	}
	if err := l.deleteOurs(ctx); err != nil {
		return err
	}
	return l.Behave(ctx, []string{"web", "mobile", "cart", "user-service", "stock"}, nil)
}

func (l *Lab) deleteOurs(ctx context.Context) error {
	revisions := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "controllerrevisions"}
	for _, r := range []schema.GroupVersionResource{Leases, revisions} {
		list, err := l.Client.Resource(r).Namespace(Namespace).List(ctx, metav1.ListOptions{LabelSelector: "app.kubernetes.io/managed-by=meshpol"})
		if err != nil {
			return fmt.Errorf("listing %s of meshpol: %w", r.Resource, err)
		}
		for _, o := range list.Items {
			if err := l.Client.Resource(r).Namespace(Namespace).Delete(ctx, o.GetName(), metav1.DeleteOptions{}); err != nil && !errors.IsNotFound(err) {
				return fmt.Errorf("deleting %s %s: %w", r.Resource, o.GetName(), err)
			}
		}
	}
	return nil
}

// CohortPods are the shop's pods that bear any cohort label, sorted.
func (l *Lab) CohortPods(ctx context.Context) ([]string, error) {
	list, err := l.Client.Resource(Pods).Namespace(Namespace).List(ctx, metav1.ListOptions{})
	if err != nil {
		return nil, fmt.Errorf("listing pods: %w", err)
	}
	var out []string
	for _, p := range list.Items {
		for key := range p.GetLabels() {
			if len(key) > len("cohort.meshpol.io/") && key[:len("cohort.meshpol.io/")] == "cohort.meshpol.io/" {
				out = append(out, p.GetName())
			}
		}
	}
	slices.Sort(out)
	return out, nil
}

// WriteFile puts a policy file into a directory and returns its path.
func WriteFile(dir, name, text string) (string, error) {
	path := dir + "/" + name
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		return "", fmt.Errorf("writing %s: %w", name, err)
	}
	return path, nil
}

// Eventually repeats a question until it is answered with yes or the time is over.
func Eventually(ctx context.Context, within time.Duration, ask func() (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	for {
		ok, err := ask()
		if err == nil && ok {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("not so within %s (last error: %v)", within, err)
		case <-time.After(100 * time.Millisecond):
		}
	}
}
