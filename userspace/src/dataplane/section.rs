//! Arrays of the object's data that every packet is looked up in.

use aya::Pod;
use aya::maps::{Array, Map, MapData, MapError};

/// A section of the object's data: a map with one element, which is an array.
pub(super) struct Section<T: Pod, const N: usize> {
    map: Array<MapData, [T; N]>,
    elements: Box<[T; N]>,
}

impl<T: Pod + Default, const N: usize> Section<T, N> {
    /// All elements.
    pub(super) fn all(&self) -> &[T; N] {
        &self.elements
    }

    /// The element of this index, if there is one.
    pub(super) fn get(&self, index: u32) -> Option<&T> {
        self.elements.get(index as usize)
    }

    /// Replaces an element.
    ///
    /// The kernel writes the others also, as they are: nobody who reads them meanwhile sees that.
    ///
    /// # Errors
    /// Where there is none of this index, or the kernel refuses.
    pub(super) fn set(&mut self, index: u32, element: T) -> Result<(), MapError> {
        let out_of_bounds = MapError::OutOfBounds { index, max_entries: N as u32 };
        *self.elements.get_mut(index as usize).ok_or(out_of_bounds)? = element;
        self.map.set(0, *self.elements, 0)
    }
}

impl<T: Pod + Default, const N: usize> TryFrom<Map> for Section<T, N> {
    type Error = MapError;

    /// The section of a map, as it is: nobody else writes it.
    fn try_from(map: Map) -> Result<Self, MapError> {
        let map = Array::try_from(map)?;
        let elements = Box::new(map.get(&0, 0)?);
        Ok(Self { map, elements })
    }
}
