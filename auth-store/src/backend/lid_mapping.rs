//! Which phone number a LID stands for, and the other way round.

use wacore::store::traits::LidPnMappingEntry;

use crate::AuthStore;
use crate::reading::json_value;
use crate::record::RecordError;
use crate::record_name::Family;
use crate::store::json;
use crate::writer::Changes;

type Result<T> = std::result::Result<T, RecordError>;

impl AuthStore {
    pub(super) async fn lid_mapping(&self, lid: &str) -> Result<Option<LidPnMappingEntry>> {
        self.read_json(&Family::LidMapping.record([lid])).await
    }

    pub(super) async fn lid_mapping_of_phone(
        &self,
        phone: &str,
    ) -> Result<Option<LidPnMappingEntry>> {
        match self.lid_of_phone(phone).await? {
            Some(lid) => {
                let entry = self.lid_mapping(&lid).await?;
                Ok(entry.filter(|entry| entry.phone_number == phone))
            }
            None => Ok(None),
        }
    }

    async fn lid_of_phone(&self, phone: &str) -> Result<Option<String>> {
        let name = Family::LidOfPhone.record([phone]);
        let decode = |lid: &bytes::Bytes| {
            let lid = std::str::from_utf8(lid).map(str::to_owned);
            lid.map_err(|error| error.to_string())
        };
        self.read_as(&name, decode).await
    }

    /// Both directions change in one transaction; the last mapping of a phone
    /// number counts.
    pub(super) async fn put_lid_mappings_once(&self, entries: &[LidPnMappingEntry]) -> Result<()> {
        let _update = self.updates.lid_mappings.lock().await;
        let mut changes = Changes::default();
        for entry in entries {
            let earlier = self.lid_mapping(&entry.lid).await?;
            if let Some(earlier) = earlier
                && earlier.phone_number != entry.phone_number
                && self.lid_of_phone(&earlier.phone_number).await?.as_ref() == Some(&entry.lid)
            {
                changes.remove(Family::LidOfPhone.record([earlier.phone_number.as_str()]));
            }
            changes.put(Family::LidMapping.record([entry.lid.as_str()]), json(entry));
            changes.put(
                Family::LidOfPhone.record([entry.phone_number.as_str()]),
                entry.lid.clone().into_bytes(),
            );
        }
        self.write(changes).await
    }

    pub(super) async fn all_lid_mappings(&self) -> Result<Vec<LidPnMappingEntry>> {
        let family = Family::LidMapping;
        let all = self.read_all_as(family, json_value);
        Ok(all.await?.into_iter().map(|(_, entry)| entry).collect())
    }
}
