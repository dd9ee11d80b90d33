package componenttest

import (
	"context"
	"reflect"
	"unsafe"

	"github.com/pulumi/pulumi/sdk/v3/go/common/resource"
	"github.com/pulumi/pulumi/sdk/v3/go/common/resource/plugin"
	"github.com/pulumi/pulumi/sdk/v3/go/pulumi"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/protobuf/types/known/structpb"
)

// takeUnknownSecrets lets a preview's input be unknown and secret at once, which the
// engine accepts and the SDK's mock refuses as malformed. The SDK has such a wrapper for
// its own tests only, hence unsafe.
func takeUnknownSecrets(info *pulumi.RunInfo) {
	place := reflect.ValueOf(info).Elem().FieldByName("wrapResourceMonitorClient")
	wrap := func(mock pulumirpc.ResourceMonitorClient) pulumirpc.ResourceMonitorClient { return monitor{mock} }
	reflect.NewAt(place.Type(), unsafe.Pointer(place.UnsafeAddr())).Elem().Set(reflect.ValueOf(wrap))
}

type monitor struct {
	pulumirpc.ResourceMonitorClient
}

func (m monitor) RegisterResource(ctx context.Context, in *pulumirpc.RegisterResourceRequest, opts ...grpc.CallOption) (*pulumirpc.RegisterResourceResponse, error) {
	onlyUnknown(structpb.NewStructValue(in.GetObject()))
	return m.ResourceMonitorClient.RegisterResource(ctx, in, opts...)
}

// onlyUnknown makes a value that is secret and unknown an unknown one.
func onlyUnknown(v *structpb.Value) {
	for _, item := range v.GetListValue().GetValues() {
		onlyUnknown(item)
	}
	fields := v.GetStructValue().GetFields()
	for _, item := range fields {
		onlyUnknown(item)
	}
	if fields[resource.SigKey].GetStringValue() == resource.SecretSig && isUnknown(fields["value"]) {
		v.Kind = fields["value"].GetKind()
	}
}

func isUnknown(v *structpb.Value) bool {
	known, err := plugin.UnmarshalPropertyValue("", v, plugin.MarshalOptions{})
	return err == nil && known == nil
}
