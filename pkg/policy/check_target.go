package policy

import (
	"fmt"
	"slices"
	"strings"

	"github.com/meshpol/meshpol/pkg/policy/v1alpha1"
)

const targetPath = "spec.target"

// target wants exactly one target, of those that the kind may have.
func (d *decoder) target(p v1alpha1.PolicyObject) {
	if d.failedUnder(targetPath) {
		return
	}
	t, kind := *p.PolicyTarget(), p.Type().Kind
	k, _ := KindByName(kind)
	got := targetFields(t)
	switch {
	case len(got) == 0:
		d.fail(CodeTarget, targetPath, "names nothing", "set one of "+strings.Join(k.Targets, ", "))
		return
	case len(got) > 1:
		d.fail(CodeTarget, targetPath+"."+got[1], got[0]+" and "+got[1]+" exclude each other", "set exactly one of "+strings.Join(k.Targets, ", "))
		return
	}
	d.needs(targetPath+".gateway", t.Gateway != "", "host", t.Host != "")
	if !slices.Contains(k.Targets, got[0]) {
		d.fail(CodeTarget, targetPath+"."+got[0], fmt.Sprintf("a %s cannot have the target %s", kind, got[0]), "allowed: "+strings.Join(k.Targets, ", "))
		return
	}
	d.narrowing(t, k)
	if m, ok := p.(*v1alpha1.MutualTLS); ok {
		d.mutualTLSTarget(m.Spec, got[0])
	}
}

// targetFields lists the targets that are set; a gateway goes with a host.
func targetFields(t v1alpha1.Target) []string {
	var out []string
	for _, f := range []struct {
		name string
		set  bool
	}{
		{"service", t.Service != ""}, {"workload", t.Workload != nil}, {"namespace", t.Namespace},
		{"gateway", t.Gateway != ""}, {"host", t.Host != "" && t.Gateway == ""},
	} {
		if f.set {
			out = append(out, f.name)
		}
	}
	return out
}

// narrowing checks port and routes, which only a service has.
func (d *decoder) narrowing(t v1alpha1.Target, k Kind) {
	d.needs(targetPath+".port", t.Port != nil, "service", t.Service != "")
	d.needs(targetPath+".routes", t.Routes != nil, "service", t.Service != "")
	if t.Routes != nil && t.Service != "" && !k.Routes {
		d.fail(CodeTarget, targetPath+".routes", "a "+k.Name+" holds for a whole service: routes cannot narrow it", "remove routes")
	}
	for i, r := range t.Routes {
		path := fmt.Sprintf("%s.routes[%d]", targetPath, i)
		d.atLeastOne(path, []string{"name", "path", "method"}, r.Name != "", r.Path != "", r.Method != "")
		d.excludes(path+".name", r.Name != "", "path and method", r.Path != "" || r.Method != "")
	}
}

// mutualTLSTarget keeps the two sides of MutualTLS apart.
func (d *decoder) mutualTLSTarget(s v1alpha1.MutualTLSSpec, got string) {
	allowed := []string{"service", "workload", "namespace"}
	side := "mode acts on the server side"
	if s.Client != nil {
		allowed, side = []string{"service", "host"}, "client acts on the client side"
	}
	if !slices.Contains(allowed, got) {
		d.fail(CodeTarget, targetPath+"."+got, side+": the target cannot be a "+got, "allowed: "+strings.Join(allowed, ", "))
	}
}
