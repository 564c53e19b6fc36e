package render

import (
	"cmp"
	"fmt"
	"strconv"

	corev1 "k8s.io/api/core/v1"
	networkingv1 "k8s.io/api/networking/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ObjectStore is a bucket that speaks S3: the application's, or the one that backups go to.
//
//sumtype:decl
type ObjectStore interface {
	validateStore(*checker, *Fleet)
	// lowerBucket makes what opens the bucket, under a name within the tenant: "store" or "backup". A
	// bucket without a name is none.
	lowerBucket(s scope, name string) bucket
	// bucketName is the bucket's own name, and the endpoint that it is unique at.
	bucketName(f *Fleet, tenant, name string) (endpoint, bucket string)
}

// S3 is a bucket at any S3 endpoint.
type S3 struct {
	Endpoint  string // such as "https://s3.example.com"
	Bucket    string
	Region    string // Default "us-east-1"
	PathStyle bool   // the bucket in the path: most self-hosted stores
	// Key is where the access key comes from, as STORE_ACCESS_KEY and STORE_SECRET_KEY, or
	// BACKUP_ACCESS_KEY and BACKUP_SECRET_KEY. Default: the tenant's Secrets.
	Key   SecretSource
	CIDRs []string // the addresses behind Endpoint; empty means any public address on its port
}

// GarageBucket is a bucket in the platform's Garage, with a key that opens nothing else.
type GarageBucket struct {
	Bucket string // Default: the tenant's name; for backups with -backup
	Key    Generated
}

// NoStore is none.
type NoStore struct{}

var (
	_ ObjectStore = S3{}
	_ ObjectStore = GarageBucket{}
	_ ObjectStore = NoStore{}
)

// A bucket is what a store publishes of itself.
type bucket struct {
	endpoint, name, region string
	pathStyle              bool
	secret                 string // with the keys access-key and secret-key
	objects                []Object
	egress                 []networkingv1.NetworkPolicyEgressRule
}

// storeName names the application's bucket within a tenant, and backupName that of the backups.
const (
	storeName  = "store"
	backupName = "backup"
)

func lowerStore(s scope, store ObjectStore) part {
	b := store.lowerBucket(s, storeName)
	if b.name == "" {
		return part{}
	}
	return part{
		objects: b.objects,
		egress:  b.egress,
		facts: map[string]fact{
			"store.endpoint":   text(b.endpoint),
			"store.bucket":     text(b.name),
			"store.region":     text(b.region),
			"store.path-style": truth(b.pathStyle),
			"store.access-key": secretFact(b.secret, "access-key"),
			"store.secret-key": secretFact(b.secret, "secret-key"),
		},
	}
}

func (b S3) validateStore(c *checker, _ *Fleet) {
	c.at("endpoint").url(b.Endpoint)
	c.at("bucket").bucket(b.Bucket)
	if b.Region != "" {
		c.at("region").label(b.Region)
	}
	c.at("key").source(b.Key)
	c.at("cidrs").cidrs(b.CIDRs)
}

func (b S3) bucketName(*Fleet, string, string) (string, string) { return b.Endpoint, b.Bucket }

func (b S3) lowerBucket(s scope, name string) bucket {
	variable := map[string]string{storeName: "STORE", backupName: "BACKUP"}[name]
	sec := s.secret(name, name, name)
	sec.keys = []secretKey{
		{name: "access-key", variable: variable + "_ACCESS_KEY"},
		{name: "secret-key", variable: variable + "_SECRET_KEY"},
	}
	return bucket{
		endpoint:  b.Endpoint,
		name:      b.Bucket,
		region:    cmp.Or(b.Region, "us-east-1"),
		pathStyle: b.PathStyle,
		secret:    name,
		objects:   cmp.Or(b.Key, s.tenant.Secrets).lowerSecret(s, sec),
		egress:    []networkingv1.NetworkPolicyEgressRule{addresses(b.CIDRs, portOf(b.Endpoint))},
	}
}

func (b GarageBucket) validateStore(c *checker, f *Fleet) {
	if f.Platform.Garage == nil {
		c.forbidden("the fleet's platform has no Garage")
	}
	if b.Bucket != "" {
		c.at("bucket").bucket(b.Bucket)
	}
	b.Key.validateSecrets(c.at("key"))
}

func (b GarageBucket) bucketName(f *Fleet, tenant, name string) (string, string) {
	bucket := tenant
	if name == backupName {
		bucket += "-backup"
	}
	return "garage of " + f.Name, cmp.Or(b.Bucket, bucket)
}

func (b GarageBucket) lowerBucket(s scope, name string) bucket {
	_, bucketName := b.bucketName(s.fleet, s.tenant.Name, name)
	return bucket{
		endpoint:  "http://" + garageName + "." + s.fleet.host(PlatformUnit) + ":3900",
		name:      bucketName,
		region:    garageName,
		pathStyle: true,
		secret:    name,
		objects:   b.Key.lowerSecret(s, b.key(s.secret(name, name, name))),
		egress:    []networkingv1.NetworkPolicyEgressRule{to([]int32{3900}, Peer{PlatformUnit, selector(PlatformUnit, garageName)}.peer())},
	}
}

// key is a Secret with a key as Garage wants it: GK and 12 bytes in hexadecimal, and 32 bytes.
func (b GarageBucket) key(sec secret) secret {
	sec.keys = []secretKey{
		{name: "id", bytes: 12},
		{name: "access-key", template: "GK{{ .id }}"},
		{name: "secret-key", bytes: 32},
	}
	return sec
}

func (NoStore) validateStore(*checker, *Fleet) {}

func (NoStore) bucketName(*Fleet, string, string) (string, string) { return "", "" }

func (NoStore) lowerBucket(scope, string) bucket { return bucket{} }

const barmanPlugin = "barman-cloud.cloudnative-pg.io"

// barman says where CloudNativePG keeps base backups and write-ahead logs.
func (b bucket) barman(m metav1.ObjectMeta, days int) Object {
	return &barmanObjectStore{
		TypeMeta:   metav1.TypeMeta{APIVersion: "barmancloud.cnpg.io/v1", Kind: "ObjectStore"},
		ObjectMeta: *m.DeepCopy(),
		Spec: barmanObjectStoreSpec{
			Configuration: barmanConfiguration{
				DestinationPath: "s3://" + b.name + "/",
				EndpointURL:     b.endpoint,
				S3Credentials:   barmanCredentials{AccessKeyID: keyRef{b.secret, "access-key"}, SecretAccessKey: keyRef{b.secret, "secret-key"}},
				WAL:             barmanWAL{Compression: "gzip", MaxParallel: 4},
				Data:            barmanData{Compression: "gzip", Jobs: 2},
			},
			RetentionPolicy: fmt.Sprintf("%dd", days),
			Sidecar: barmanSidecar{
				Env: []corev1.EnvVar{
					{Name: "AWS_DEFAULT_REGION", Value: b.region},
					// Stores other than AWS refuse the checksums that newer clients add unasked.
					{Name: "AWS_REQUEST_CHECKSUM_CALCULATION", Value: "when_required"},
					{Name: "AWS_RESPONSE_CHECKSUM_VALIDATION", Value: "when_required"},
				},
				Resources: Resources{}.requirements(Resources{CPU: "100m", Memory: "256Mi"}),
			},
		},
	}
}

// rclone configures the remote "store" by variables alone, so that no file holds the key.
func (b bucket) rclone(keep string) []corev1.EnvVar {
	return []corev1.EnvVar{
		{Name: "BUCKET", Value: b.name},
		{Name: "KEEP", Value: keep},
		secretEnv("RCLONE_CONFIG_STORE_ACCESS_KEY_ID", b.secret, "access-key"),
		{Name: "RCLONE_CONFIG_STORE_ENDPOINT", Value: b.endpoint},
		{Name: "RCLONE_CONFIG_STORE_FORCE_PATH_STYLE", Value: strconv.FormatBool(b.pathStyle)},
		{Name: "RCLONE_CONFIG_STORE_PROVIDER", Value: "Other"},
		{Name: "RCLONE_CONFIG_STORE_REGION", Value: b.region},
		secretEnv("RCLONE_CONFIG_STORE_SECRET_ACCESS_KEY", b.secret, "secret-key"),
		{Name: "RCLONE_CONFIG_STORE_TYPE", Value: "s3"},
	}
}
