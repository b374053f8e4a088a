package fakekube

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/labels"
	"k8s.io/apimachinery/pkg/types"
)

// path is a parsed API path.
type path struct{ group, version, namespace, resource, name, sub, rest string }

func parsePath(p string) path {
	parts := strings.Split(strings.Trim(p, "/"), "/")
	var out path
	switch {
	case len(parts) > 2 && parts[0] == "api":
		out.version, parts = parts[1], parts[2:]
	case len(parts) > 3 && parts[0] == "apis":
		out.group, out.version, parts = parts[1], parts[2], parts[3:]
	default:
		return out
	}
	if parts[0] == "namespaces" && len(parts) > 2 {
		out.namespace, parts = parts[1], parts[2:]
	}
	for i, dst := range []*string{&out.resource, &out.name, &out.sub} {
		if i < len(parts) {
			*dst = parts[i]
		}
	}
	if len(parts) > 3 {
		out.rest = "/" + strings.Join(parts[3:], "/")
	}
	return out
}

// full is the resource with its subresource, as RBAC names it.
func (p path) full() string { return strings.TrimSuffix(p.resource+"/"+p.sub, "/") }

func (p path) verb(method string) string {
	switch method {
	case http.MethodGet:
		if p.name == "" {
			return "list"
		}
		return "get"
	case http.MethodPost:
		return "create"
	case http.MethodPut:
		return "update"
	default:
		return strings.ToLower(method)
	}
}

func (p path) key() string { return p.group + "/" + p.resource + "/" + p.namespace + "/" + p.name }

// Add stores objects as they are, as if somebody else had written them, and gives them a resourceVersion.
func (s *Server) Add(objects ...*unstructured.Unstructured) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, o := range objects {
		o = o.DeepCopy()
		k := s.kindOf(o)
		p := path{group: k.Group, resource: k.Resource, namespace: o.GetNamespace(), name: o.GetName()}
		s.put(p, o, s.objects[p.key()])
	}
}

func (s *Server) kindOf(o *unstructured.Unstructured) Kind {
	i := slices.IndexFunc(s.kinds, func(k Kind) bool { return k.apiVersion() == o.GetAPIVersion() && k.Kind == o.GetKind() })
	if i < 0 {
		panic(fmt.Sprintf("fakekube: no kind %s %s", o.GetAPIVersion(), o.GetKind()))
	}
	return s.kinds[i]
}

// Object gives a stored object, or nil.
func (s *Server) Object(resource, namespace, name string) *unstructured.Unstructured {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key, o := range s.objects {
		if strings.HasSuffix(key, "/"+resource+"/"+namespace+"/"+name) {
			return o.DeepCopy()
		}
	}
	return nil
}

// Remove deletes a stored object, as somebody else would.
func (s *Server) Remove(resource, namespace, name string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for key := range s.objects {
		if strings.HasSuffix(key, "/"+resource+"/"+namespace+"/"+name) {
			delete(s.objects, key)
		}
	}
}

// put gives an object its next version and stores it. The caller holds s.mu.
func (s *Server) put(p path, o, before *unstructured.Unstructured) {
	s.version++
	o.SetResourceVersion(strconv.FormatInt(s.version, 10))
	if before == nil {
		o.SetUID(types.UID(fmt.Sprintf("uid-%d", s.version)))
		o.SetGeneration(1)
		o.SetCreationTimestamp(metav1.NewTime(time.Unix(1_700_000_000, 0)))
	} else {
		o.SetUID(before.GetUID())
		o.SetCreationTimestamp(before.GetCreationTimestamp())
	}
	s.objects[p.key()] = o
}

func (s *Server) resource(w http.ResponseWriter, r *http.Request, p path) {
	known := slices.ContainsFunc(s.kinds, func(k Kind) bool { return k.Group == p.group && k.Version == p.version && k.Resource == p.resource })
	if !known {
		writeStatus(w, http.StatusNotFound, metav1.StatusReasonNotFound, "the server could not find the requested resource")
		return
	}
	switch p.sub {
	case "portforward":
		s.portForward(w, r, p)
		return
	case "proxy":
		s.proxy(w, r, p)
		return
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		writeStatus(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case r.Method == http.MethodGet && p.name == "":
		s.list(w, r, p)
	case r.Method == http.MethodPost:
		s.create(w, r, p, body)
	case s.objects[p.key()] == nil:
		writeStatus(w, http.StatusNotFound, metav1.StatusReasonNotFound, fmt.Sprintf("%s %q not found", p.resource, p.name))
	case r.Method == http.MethodGet:
		writeJSON(w, http.StatusOK, s.at(p, s.objects[p.key()]).Object)
	case r.Method == http.MethodPut:
		s.update(w, r, p, body)
	case r.Method == http.MethodPatch:
		s.patch(w, r, p, body)
	case r.Method == http.MethodDelete:
		s.delete(w, p, body)
	}
}

// at is an object in the version that was asked for.
func (s *Server) at(p path, o *unstructured.Unstructured) *unstructured.Unstructured {
	o = o.DeepCopy()
	o.SetAPIVersion(Kind{Group: p.group, Version: p.version}.apiVersion())
	return o
}

func (s *Server) list(w http.ResponseWriter, r *http.Request, p path) {
	q := r.URL.Query()
	selector, err := labels.Parse(q.Get("labelSelector"))
	if err != nil {
		writeStatus(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	prefix := p.group + "/" + p.resource + "/"
	var keys []string
	for key, o := range s.objects {
		if strings.HasPrefix(key, prefix) && (p.namespace == "" || o.GetNamespace() == p.namespace) && selector.Matches(labels.Set(o.GetLabels())) {
			keys = append(keys, key)
		}
	}
	sort.Strings(keys)
	from, _ := strconv.Atoi(q.Get("continue"))
	limit, _ := strconv.Atoi(q.Get("limit"))
	if s.ChunkLimit > 0 && (limit == 0 || limit > s.ChunkLimit) {
		limit = s.ChunkLimit
	}
	to := len(keys)
	meta := map[string]any{"resourceVersion": strconv.FormatInt(s.version, 10)}
	if limit > 0 && from+limit < to {
		to = from + limit
		meta["continue"] = strconv.Itoa(to)
	}
	items := []any{}
	for _, key := range keys[min(from, to):to] {
		items = append(items, s.at(p, s.objects[key]).Object)
	}
	k := s.kinds[slices.IndexFunc(s.kinds, func(k Kind) bool { return k.Resource == p.resource && k.Group == p.group })]
	writeJSON(w, http.StatusOK, map[string]any{"kind": k.Kind + "List", "apiVersion": Kind{Group: p.group, Version: p.version}.apiVersion(), "metadata": meta, "items": items})
}

func decode(body []byte) (*unstructured.Unstructured, error) {
	o := &unstructured.Unstructured{}
	return o, o.UnmarshalJSON(body)
}

func (s *Server) create(w http.ResponseWriter, r *http.Request, p path, body []byte) {
	o, err := decode(body)
	if err != nil {
		writeStatus(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	p.name = o.GetName()
	if s.objects[p.key()] != nil {
		writeStatus(w, http.StatusConflict, metav1.StatusReasonAlreadyExists, fmt.Sprintf("%s %q already exists", p.resource, p.name))
		return
	}
	s.store(w, r, p, o, nil, http.StatusCreated)
}

// store writes an object, or only answers as if, and notes who did.
func (s *Server) store(w http.ResponseWriter, r *http.Request, p path, o, before *unstructured.Unstructured, code int) {
	own(o, before, r.URL.Query().Get("fieldManager"))
	if r.URL.Query().Get("dryRun") == "All" {
		if before != nil {
			o.SetResourceVersion(before.GetResourceVersion())
		}
		writeJSON(w, code, s.at(p, o).Object)
		return
	}
	s.put(p, o, before)
	writeJSON(w, code, s.at(p, o).Object)
}

// own adds an entry for the manager where an object's content changed, roughly as the API server would.
func own(o, before *unstructured.Unstructured, manager string) {
	entries, _, _ := unstructured.NestedSlice(o.Object, "metadata", "managedFields")
	if (before != nil && same(o.Object["spec"], before.Object["spec"])) || manager == "" {
		return
	}
	for _, e := range entries {
		if m, ok := e.(map[string]any); ok && m["manager"] == manager && m["operation"] == "Update" {
			return
		}
	}
	entries = append(entries, map[string]any{"manager": manager, "operation": "Update", "apiVersion": o.GetAPIVersion(), "fieldsType": "FieldsV1", "fieldsV1": map[string]any{"f:spec": map[string]any{}}})
	_ = unstructured.SetNestedSlice(o.Object, entries, "metadata", "managedFields") // the metadata of an object is a map
}

func same(a, b any) bool {
	x, _ := json.Marshal(a)
	y, _ := json.Marshal(b)
	return string(x) == string(y)
}

func (s *Server) conflict(w http.ResponseWriter, p path) {
	writeStatus(w, http.StatusConflict, metav1.StatusReasonConflict, fmt.Sprintf("Operation cannot be fulfilled on %s %q: the object has been modified; please apply your changes to the latest version and try again", p.resource, p.name))
}

func (s *Server) update(w http.ResponseWriter, r *http.Request, p path, body []byte) {
	o, err := decode(body)
	if err != nil {
		writeStatus(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
		return
	}
	before := s.objects[p.key()]
	if v := o.GetResourceVersion(); v != "" && v != before.GetResourceVersion() {
		s.conflict(w, p)
		return
	}
	s.store(w, r, p, o, before, http.StatusOK)
}

func (s *Server) delete(w http.ResponseWriter, p path, body []byte) {
	var opts metav1.DeleteOptions
	if len(body) > 0 {
		if err := json.Unmarshal(body, &opts); err != nil {
			writeStatus(w, http.StatusBadRequest, metav1.StatusReasonBadRequest, err.Error())
			return
		}
	}
	before := s.objects[p.key()]
	if c := opts.Preconditions; c != nil {
		if (c.ResourceVersion != nil && *c.ResourceVersion != before.GetResourceVersion()) || (c.UID != nil && *c.UID != before.GetUID()) {
			s.conflict(w, p)
			return
		}
	}
	if len(opts.DryRun) == 0 {
		delete(s.objects, p.key())
	}
	writeJSON(w, http.StatusOK, metav1.Status{TypeMeta: metav1.TypeMeta{Kind: "Status", APIVersion: "v1"}, Status: metav1.StatusSuccess})
}
