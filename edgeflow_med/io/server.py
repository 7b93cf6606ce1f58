"""Talking to a DICOMweb server: TLS, credentials, retries, limits on what comes back, and one-line errors.

`dicomweb_client` knows the protocol. What it would parse or repeat on its own is kept from it: instances stay bytes,
and only safe questions are asked again. No message holds a question's address, which can hold a patient's ID.
"""

from __future__ import annotations

import logging
import re
import ssl
import time
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from http import HTTPStatus
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import requests
from dicomweb_client.uri import URI
from dicomweb_client.web import DICOMwebClient
from pydicom import Dataset
from requests.auth import AuthBase, HTTPBasicAuth

from edgeflow_med.errors import ReadError
from edgeflow_med.io.credentials import Credentials

# Seconds: to connect and between two pieces of an answer; for a whole answer; before a question is asked again.
TIMEOUTS_S = (10.0, 60.0)
MOST_SECONDS = 900.0
PAUSES_S = (1.0, 3.0)
MOST_PAUSE_S = 30
# Bytes of one instance and of one page of a search, and entries on all its pages.
MOST_BYTES, MOST_LISTED, MOST_ENTRIES = 2 * 2**30, 64 * 2**20, 100_000
_MAY_PASS = (
    HTTPStatus.REQUEST_TIMEOUT,
    HTTPStatus.TOO_MANY_REQUESTS,
    HTTPStatus.BAD_GATEWAY,
    HTTPStatus.SERVICE_UNAVAILABLE,
    HTTPStatus.GATEWAY_TIMEOUT,
)
# What can go wrong on the way; the first that fits.
_TROUBLES = (
    (requests.exceptions.SSLError, "is not trusted ({reason}); give its certificates by --ca-file"),
    (requests.ConnectTimeout, "cannot be reached (nothing answers)"),
    (requests.Timeout, "did not answer within {seconds:g} s"),
    (
        requests.TooManyRedirects,
        "sends its callers elsewhere, which is not followed; give the address of DICOMweb itself",
    ),
    (requests.ConnectionError, "cannot be reached, or broke off ({reason})"),
    (requests.exceptions.ChunkedEncodingError, "broke off its answer ({reason})"),
)
_NOT_DICOMWEB = "gave an answer that is not DICOMweb; check the address, it is the one under which /studies lies"
_INSTANCE = 'multipart/related; type="application/dicom"; transfer-syntax=*'
_Answer = TypeVar("_Answer")


class Server:
    """A DICOMweb server; see `edgeflow_med.io.dicomweb.DicomWeb`.

    Raises:
        ReadError: The file of certificates cannot be used.
    """

    def __init__(self, address: str, credentials: Credentials | None = None, ca_file: Path | None = None) -> None:
        self.address = address
        self._known = credentials is not None
        # Their lines at these levels hold UIDs and the patient's ID of a search.
        for name in ("dicomweb_client", "retrying", "urllib3"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self._client = _Client(address, _session(address, credentials, ca_file), callback=_limit, timeout=TIMEOUTS_S)
        self._client.host = urlsplit(address).netloc  # the library leaves out the port
        self._client.set_http_retry_params(retry=False)  # it would also send results again

    def studies(self, filters: dict[str, str], limit: int) -> list[dict[str, Any]]:
        """Studies that match, as DICOM JSON."""
        fields = ("StudyDescription",)
        return self._all(
            "StudyInstanceUID", limit, self._client.search_for_studies, fields=fields, search_filters=filters
        )

    def series(self, study: str) -> list[dict[str, Any]]:
        """All series of a study, as DICOM JSON."""
        fields = ("SeriesDescription", "NumberOfSeriesRelatedInstances")
        search = self._client.search_for_series
        return self._all("SeriesInstanceUID", None, search, study_instance_uid=study, fields=fields)

    def instances(self, study: str, series: str) -> list[dict[str, Any]]:
        """All instances of a series, as DICOM JSON."""
        search = self._client.search_for_instances
        return self._all("SOPInstanceUID", None, search, study_instance_uid=study, series_instance_uid=series)

    def instance(self, study: str, series: str, uid: str) -> bytes | None:
        """A file as it was stored; None if there is none."""
        url = self._url(study, series, uid)
        try:
            parts = self._ask(lambda: list(self._client.retrieve_bytes(url)))
        except _NotThereError:
            return None
        if len(parts) != 1:
            raise ReadError(f"{self.address} sent {len(parts)} files instead of one; it does not keep to DICOMweb.")
        return parts[0]

    def store(self, study: str, content: bytes) -> str:
        """Send a file, once; returns what seems to have gone wrong, or nothing. Only looking shows what is stored."""
        try:
            answer = self._client.store_bytes(self._url(study), content)
        except (requests.RequestException, ReadError) as error:
            return self._explain(error)
        except (ValueError, KeyError, TypeError, AttributeError, SyntaxError):
            return f"{self.address} {_NOT_DICOMWEB}"
        failed = answer.get("FailedSOPSequence")
        if not failed:
            return ""
        return f"{self.address} refused it (DICOM failure reason {int(failed[0].get('FailureReason') or 0):04X}H)"

    def _all(
        self, keyword: str, limit: int | None, search: Callable[..., Iterable[object]], **what: Any
    ) -> list[dict[str, Any]]:
        """Ask page after page, because servers may cut an answer short; ``keyword`` names each entry's own UID."""
        found: dict[str, dict[str, Any]] = {}
        while limit is None or len(found) < limit:
            rest = None if limit is None else limit - len(found)
            question = partial(search, offset=len(found) or None, limit=rest, **what)
            new = self._ask(lambda: _by_uid(question(), keyword))  # noqa: B023 - called before the next turn
            if new.keys() <= found.keys():
                break
            found |= new
            if len(found) > MOST_ENTRIES:
                raise ReadError(f"{self.address} lists more than {MOST_ENTRIES} entries; narrow the search.")
        return list(found.values())[:limit]

    def _ask(self, question: Callable[[], _Answer]) -> _Answer:
        """Ask what may be asked twice.

        Raises:
            ReadError: No answer, in the end.
        """
        for pause in (*PAUSES_S, None):
            try:
                return question()
            except requests.RequestException as error:
                if pause is None or not _may_pass(error):
                    status = error.response.status_code if error.response is not None else None
                    kind = _NotThereError if status == HTTPStatus.NOT_FOUND else ReadError
                    raise kind(self._explain(error) + ".") from None
                time.sleep(_pause(error, pause))
            except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
                raise ReadError(f"{self.address} {_NOT_DICOMWEB}.") from None
        raise AssertionError

    def _url(self, study: str, series: str | None = None, instance: str | None = None) -> str:
        return str(URI(self.address, study, series, instance))

    def _explain(self, error: Exception) -> str:
        """What went wrong, without the address of the question and without a full stop."""
        if isinstance(error, ReadError):
            return str(error).rstrip(".")
        response = getattr(error, "response", None)
        if response is not None and response.status_code >= HTTPStatus.BAD_REQUEST:
            return f"{self.address} {self._explain_status(response.status_code)}"
        what = next((what for kind, what in _TROUBLES if isinstance(error, kind)), _NOT_DICOMWEB)
        return f"{self.address} {what.format(reason=_root(error), seconds=TIMEOUTS_S[1])}"

    def _explain_status(self, status: int) -> str:
        if status == HTTPStatus.UNAUTHORIZED and not self._known:
            return "asks for credentials; give them in the environment or by --credentials"
        if status == HTTPStatus.UNAUTHORIZED:
            return "refused the credentials"
        if status == HTTPStatus.FORBIDDEN:
            return "does not allow this" + ("" if self._known else " without credentials")
        if status == HTTPStatus.NOT_FOUND:
            return "does not know this; check the address, it is the one under which /studies lies"
        phrase = HTTPStatus(status).phrase if status in HTTPStatus.__members__.values() else "an unknown status"
        return f"answered {status} ({phrase})"


class _NotThereError(ReadError):
    """Status 404."""


class _Client(DICOMwebClient):
    """The library's client, with instances as bytes."""

    def retrieve_bytes(self, url: str) -> Iterator[bytes]:
        """WADO-RS; each part of the answer."""
        response = self._http_get(url, headers={"Accept": _INSTANCE}, stream=True)
        if response.headers.get("Content-Type", "").startswith("application/dicom"):
            return iter([response.content])  # some servers send a single instance like this
        return map(bytes, self._decode_multipart_message(response, stream=True))

    def store_bytes(self, url: str, content: bytes) -> Dataset:
        """STOW-RS."""
        return self._http_post_multipart_application_dicom(url, [content])


class _Bearer(AuthBase):
    """A bearer token (RFC 6750)."""

    def __init__(self, token: str) -> None:
        self._token = token

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = f"Bearer {self._token}"
        return request


def value(entry: dict[str, Any], keyword: str) -> str:
    """The first value of an attribute in DICOM JSON, fit to be printed; empty if there is none."""
    attribute = entry.get(DICOMwebClient.lookup_tag(keyword))
    values = attribute.get("Value") if isinstance(attribute, dict) else None
    first = values[0] if isinstance(values, list) and values else None
    if isinstance(first, dict):  # a person's name
        first = first.get("Alphabetic")
    text = "" if first is None else str(first)
    return "".join(character if character.isprintable() else " " for character in text).strip()


def is_uid(text: str) -> bool:
    """Whether a text is a UID as DICOM has them, so that it can stand in an address."""
    return len(text) <= 64 and re.fullmatch(r"[0-9]+(\.[0-9]+)*", text) is not None


def _by_uid(page: Iterable[object], keyword: str) -> dict[str, dict[str, Any]]:
    """Entries of DICOM JSON by their UID.

    Raises:
        ValueError: An entry without one.
    """
    found: dict[str, dict[str, Any]] = {}
    for entry in page:
        if not isinstance(entry, dict) or not is_uid(uid := value(entry, keyword)):
            raise ValueError(keyword)
        found[uid] = entry
    return found


def _session(address: str, credentials: Credentials | None, ca_file: Path | None) -> requests.Session:
    session = requests.Session()
    # A .netrc would add credentials of its own, and REQUESTS_CA_BUNDLE would win over --ca-file. Proxies are kept.
    session.trust_env = False
    session.proxies.update(requests.utils.get_environ_proxies(address))
    session.max_redirects = 0  # credentials and patient data go where the user said and nowhere else
    session.headers.update({"User-Agent": "edgeflow-med", "Accept-Encoding": "identity"})
    if credentials is not None:
        pair = HTTPBasicAuth(credentials.user.encode(), credentials.password.encode())  # RFC 7617: UTF-8
        session.auth = _Bearer(credentials.token) if credentials.token else pair
    if ca_file is not None:
        try:
            ssl.create_default_context(cafile=ca_file)
        except (OSError, ssl.SSLError) as error:
            reason = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
            raise ReadError(f"Cannot use the certificates in {ca_file}: {reason}; give a PEM file.") from None
        session.verify = str(ca_file)
    return session


def _limit(response: requests.Response, *_: object, **__: object) -> None:
    """Have an answer break off when it grows too large or takes too long, and notice when it was cut short."""
    stream: Callable[..., Iterable[bytes]] = response.raw.stream
    kind = response.headers.get("Content-Type", "")
    most = MOST_BYTES if "application/dicom" in kind and "json" not in kind and "xml" not in kind else MOST_LISTED
    boundary = re.search(r'boundary="?([^";]+)', kind)
    closing = f"--{boundary[1]}--".encode() if boundary else b""
    late = time.monotonic() + MOST_SECONDS

    def limited(*arguments: object, **options: object) -> Iterator[bytes]:
        size, tail = 0, b""
        for chunk in stream(*arguments, **options):
            size += len(chunk)
            if size > most:
                raise ReadError(f"The server sent more than {most / 2**20:.0f} MB at once; nothing of it was kept.")
            if time.monotonic() > late:
                raise ReadError(f"The server took more than {MOST_SECONDS:.0f} s to send an answer; nothing was kept.")
            tail = (tail + chunk)[-len(closing) - 8 :]
            yield chunk
        if closing not in tail:
            raise requests.ConnectionError("cut short")

    response.raw.stream = limited


def _may_pass(error: requests.RequestException) -> bool:
    """Whether asking again may help."""
    if error.response is not None:
        return error.response.status_code in _MAY_PASS
    lasting = (requests.exceptions.SSLError, requests.exceptions.InvalidURL, requests.TooManyRedirects)
    return not isinstance(error, lasting)


def _pause(error: requests.RequestException, default: float) -> float:
    """How long to wait, at most half a minute: what the server asked for, or else the default."""
    asked = error.response.headers.get("Retry-After", "") if error.response is not None else ""
    return min(float(asked), MOST_PAUSE_S) if asked.isdecimal() else default


def _root(error: BaseException) -> str:
    """What the operating system or the TLS library said, behind the layers of the HTTP library; no address."""
    for _ in range(10):
        causes = (getattr(error, "reason", None), *error.args, error.__cause__)
        inner = next((cause for cause in causes if isinstance(cause, BaseException)), None)
        if inner is None:
            break
        error = inner
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message
    return str(getattr(error, "strerror", None) or getattr(error, "reason", None) or type(error).__name__)
