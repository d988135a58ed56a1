"""Images as the OCI's image layout has them, the same bytes for the same files: sorted, of user 0, of 1970."""

import hashlib
import io
import json
import pathlib
import platform
import tarfile

TYPES = "application/vnd.oci.image"
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}
EPOCH = "1970-01-01T00:00:00Z"


class Layout:
    """One image and what refers to it, on its way into a file."""

    def __init__(self):
        self.blobs: dict[str, bytes] = {}
        self.manifests: list[dict] = []

    def put(self, blob: bytes, media_type: str) -> dict:
        digest = hashlib.sha256(blob).hexdigest()
        self.blobs[digest] = blob
        return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(blob)}

    def put_json(self, value: dict, media_type: str) -> dict:
        return self.put(json.dumps(value, sort_keys=True).encode(), media_type)

    def layer(self, files: dict[str, pathlib.Path]) -> dict:
        """Files by their paths in the image."""
        read = {path: (source.read_bytes(), source.stat().st_mode & 0o777) for path, source in files.items()}
        return self.put(tar(read), f"{TYPES}.layer.v1.tar")

    def image(self, name: str, layers: list[dict], config: dict) -> str:
        """The image; its digest."""
        described = {
            "architecture": ARCHITECTURES[platform.machine()],
            "os": "linux",
            "created": EPOCH,
            "config": config,
            "rootfs": {"type": "layers", "diff_ids": [layer["digest"] for layer in layers]},
        }
        manifest = self.manifest(self.put_json(described, f"{TYPES}.config.v1+json"), layers)
        named = {"io.containerd.image.name": name, "org.opencontainers.image.ref.name": name.rsplit(":", 1)[1]}
        self.manifests.append(manifest | {"annotations": named})
        return manifest["digest"]

    def refer(self, media_type: str, blob: bytes):
        """Something beside the image, as a registry keeps it: by the digest that it is of."""
        subject = {key: value for key, value in self.manifests[0].items() if key != "annotations"}
        config = self.put(b"{}", "application/vnd.oci.empty.v1+json")
        artifact = {"artifactType": media_type, "subject": subject}
        manifest = self.manifest(config, [self.put(blob, media_type)], artifact)
        named = {"org.opencontainers.image.referrer.subject": subject["digest"]}
        self.manifests.append(manifest | {"artifactType": media_type, "annotations": named})

    def manifest(self, config: dict, layers: list[dict], more: dict = {}) -> dict:
        media_type = f"{TYPES}.manifest.v1+json"
        return self.put_json(
            {"schemaVersion": 2, "mediaType": media_type, "config": config, "layers": layers} | more, media_type
        )

    def write(self, path: pathlib.Path):
        index = {"schemaVersion": 2, "mediaType": f"{TYPES}.index.v1+json", "manifests": self.manifests}
        files = {"oci-layout": b'{"imageLayoutVersion": "1.0.0"}', "index.json": json.dumps(index).encode()}
        files |= {f"blobs/sha256/{digest}": blob for digest, blob in self.blobs.items()}
        path.write_bytes(tar({name: (blob, 0o644) for name, blob in files.items()}))


def tar(files: dict[str, tuple[bytes, int]]) -> bytes:
    """An archive of files with their modes, and of the folders that they are in."""
    folders = {str(above) for path in files for above in pathlib.PurePosixPath(path).parents} - {"."}
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w", format=tarfile.USTAR_FORMAT) as archive:
        for path in sorted(folders | set(files)):
            entry = tarfile.TarInfo(path)
            if path in folders:
                entry.type, entry.mode = tarfile.DIRTYPE, 0o755
                archive.addfile(entry)
            else:
                blob, entry.mode = files[path]
                entry.size = len(blob)
                archive.addfile(entry, io.BytesIO(blob))
    return made.getvalue()
