package trial

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// Scale sets the number of pods of an app of the shop and waits until all are ready and the others gone.
func (l *Lab) Scale(ctx context.Context, app string, pods int) error {
	deployments := schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "deployments"}
	patch, err := json.Marshal(map[string]any{"spec": map[string]any{"replicas": pods}})
	if err != nil {
		return fmt.Errorf("scaling %s: %w", app, err)
	}
	if _, err := l.Client.Resource(deployments).Namespace(Namespace).Patch(ctx, app, types.MergePatchType, patch, metav1.PatchOptions{}); err != nil {
		return fmt.Errorf("scaling %s: %w", app, err)
	}
	err = Eventually(ctx, 2*time.Minute, func() (bool, error) {
		status, err := l.Control.Status(ctx)
		if err != nil {
			return false, err
		}
		all, ready := 0, 0
		for _, p := range status.Pods {
			if strings.HasPrefix(p.Name, app+"-") {
				all++
				if p.Ready {
					ready++
				}
			}
		}
		return all == pods && ready == pods, nil
	})
	if err != nil {
		return fmt.Errorf("scaling %s to %d pods: %w", app, pods, err)
	}
	return nil
}
