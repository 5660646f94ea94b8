//! A certificate authority for the API server, its clients and the HTTPS Git server.

use crate::error::{Context, Result};
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose,
};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::sync::Arc;

/// A fresh authority. Its key never leaves this process.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

/// A certificate and its private key, both PEM.
pub(crate) struct Pair {
    pub(crate) cert: String,
    pub(crate) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let what = || "making a certificate authority".to_owned();
        let mut params = CertificateParams::new(Vec::new()).doing(what)?;
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![
            KeyUsagePurpose::KeyCertSign,
            KeyUsagePurpose::DigitalSignature,
        ];
        let key = KeyPair::generate().doing(what)?;
        Ok(Self(CertifiedIssuer::self_signed(params, key).doing(what)?))
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A serving certificate for the loopback interface.
    pub(crate) fn server(&self) -> Result<Pair> {
        let names = [
            "127.0.0.1",
            "localhost",
            "kubernetes.default.svc",
            "10.0.0.1",
        ];
        let mut params = CertificateParams::new(names.map(str::to_owned).to_vec())
            .doing(|| "making a serving certificate".into())?;
        params
            .distinguished_name
            .push(DnType::CommonName, "127.0.0.1");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
        self.sign(params)
    }

    /// A client certificate; Kubernetes reads the user from CN and the groups from O.
    pub(crate) fn client(&self, user: &str, groups: &[&str]) -> Result<Pair> {
        let mut params = CertificateParams::new(Vec::new())
            .doing(|| format!("making a client certificate for {user}"))?;
        params.distinguished_name.push(DnType::CommonName, user);
        for (index, group) in groups.iter().enumerate() {
            params.distinguished_name.push(organization(index), *group);
        }
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        self.sign(params)
    }

    fn sign(&self, params: CertificateParams) -> Result<Pair> {
        let what = || "signing a certificate".to_owned();
        let key = KeyPair::generate().doing(what)?;
        let cert = params.signed_by(&key, &self.0).doing(what)?;
        Ok(Pair {
            cert: cert.pem(),
            key: key.serialize_pem(),
        })
    }
}

/// rcgen keeps one value for each attribute type, but the same OID spelled in two ways is two.
fn organization(index: usize) -> DnType {
    const ORGANIZATION: [u64; 4] = [2, 5, 4, 10];
    if index == 0 {
        return DnType::OrganizationName;
    }
    DnType::CustomDnType(ORGANIZATION.to_vec())
}

/// The key pair that signs service account tokens: (private, public), both PEM.
pub(crate) fn service_account_keys() -> Result<(String, String)> {
    let key = KeyPair::generate().doing(|| "making the service account key".into())?;
    Ok((key.serialize_pem(), key.public_key_pem()))
}

/// What a server needs to speak TLS with this certificate.
pub(crate) fn server_config(pair: &Pair) -> Result<Arc<rustls::ServerConfig>> {
    let what = || "setting up TLS for a server".to_owned();
    let cert = CertificateDer::from_pem_slice(pair.cert.as_bytes()).doing(what)?;
    let key = PrivateKeyDer::from_pem_slice(pair.key.as_bytes()).doing(what)?;
    let config = rustls::ServerConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .doing(what)?
        .with_no_client_auth()
        .with_single_cert(vec![cert], key)
        .doing(what)?;
    Ok(Arc::new(config))
}

/// What a client needs that trusts this authority alone.
pub(crate) fn client_config(ca_pem: &str) -> Result<Arc<rustls::ClientConfig>> {
    let what = || "setting up TLS for a client".to_owned();
    let mut roots = rustls::RootCertStore::empty();
    roots
        .add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).doing(what)?)
        .doing(what)?;
    let config = rustls::ClientConfig::builder_with_provider(provider())
        .with_safe_default_protocol_versions()
        .doing(what)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(Arc::new(config))
}

/// Named, because a program that links two providers has no default one.
fn provider() -> Arc<rustls::crypto::CryptoProvider> {
    Arc::new(rustls::crypto::ring::default_provider())
}
