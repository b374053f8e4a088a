// Package stock is the shop's gRPC service as both of its ends know it. Its one method asks for an item and is answered
// with a JSON document, both as well-known types: nothing has to be generated.
package stock

import (
	"context"

	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/wrapperspb"
)

const (
	serviceName = "meshpol.shop.Stock"
	// CheckMethod is the path of the method.
	CheckMethod = "/" + serviceName + "/Check"
)

// Server is the service.
type Server interface {
	// Check says what there is of an item.
	Check(ctx context.Context, item *wrapperspb.StringValue) (*wrapperspb.StringValue, error)
}

// Register adds a service to a gRPC server.
func Register(to grpc.ServiceRegistrar, s Server) {
	to.RegisterService(&grpc.ServiceDesc{
		ServiceName: serviceName,
		HandlerType: (*Server)(nil),
		Methods:     []grpc.MethodDesc{{MethodName: "Check", Handler: check}},
	}, s)
}

func check(service any, ctx context.Context, decode func(any) error, _ grpc.UnaryServerInterceptor) (any, error) { //nolint:revive // gRPC's order
	item := new(wrapperspb.StringValue)
	if err := decode(item); err != nil {
		return nil, err
	}
	server, _ := service.(Server) // Register takes nothing else
	return server.Check(ctx, item)
}

// Check calls the service.
func Check(ctx context.Context, to grpc.ClientConnInterface, item string, options ...grpc.CallOption) (string, error) {
	out := new(wrapperspb.StringValue)
	err := to.Invoke(ctx, CheckMethod, wrapperspb.String(item), out, options...)
	return out.GetValue(), err
}
