// Reads DICOM-SEG files the way OHIF does: @cornerstonejs/adapters puts each frame on the source image that it refers to.
//
// One request per line on standard input, one answer per line on standard output:
//   {"seg": FILE, "out": FILE, "images": [{"sop", "frame", "rows", "columns", "orientation", "position", "spacing", "series", "forUid"}]}
//   {"layers": N, "overlapping": BOOL} with N x images x rows x columns bytes of segment numbers in "out", or {"error": TEXT}
import './dom.mjs';
import fs from 'node:fs';
import readline from 'node:readline';

const { metaData, cache } = await import('@cornerstonejs/core');
const { adaptersSEG } = await import('@cornerstonejs/adapters');

console.log = console.info = console.debug = console.warn = () => {}; // standard output belongs to the answers
const known = new Map();

metaData.addProvider((type, imageId) => known.get(imageId)?.[type], 10000);

function describe(image, imageId) {
  const plane = {
    rows: image.rows,
    columns: image.columns,
    rowCosines: image.orientation.slice(0, 3),
    columnCosines: image.orientation.slice(3),
    imageOrientationPatient: image.orientation,
    imagePositionPatient: image.position,
    rowPixelSpacing: image.spacing[0],
    columnPixelSpacing: image.spacing[1],
    pixelSpacing: image.spacing,
    frameOfReferenceUID: image.forUid,
  };
  known.set(imageId, {
    imagePlaneModule: plane,
    generalSeriesModule: { seriesInstanceUID: image.series, modality: 'CT' },
    generalImageModule: { sopInstanceUID: image.sop },
    sopCommonModule: { sopInstanceUID: image.sop },
    imagePixelModule: { bitsAllocated: 16, bitsStored: 16, highBit: 15, samplesPerPixel: 1, pixelRepresentation: 1 },
    instance: {
      Rows: image.rows,
      Columns: image.columns,
      SOPInstanceUID: image.sop,
      SeriesInstanceUID: image.series,
      FrameOfReferenceUID: image.forUid,
      ImagePositionPatient: image.position,
      ImageOrientationPatient: image.orientation,
      PixelSpacing: image.spacing,
    },
  });
}

let request = 0;

async function read({ seg, out, images }) {
  known.clear();
  cache.purgeCache();
  request += 1;
  const imageIds = images.map((image, k) =>
    image.frame ? `wadors:${request}/instances/${image.sop}/frames/${image.frame}` : `wadors:${request}/${k}`
  );
  images.forEach((image, k) => describe(image, imageIds[k]));
  const file = fs.readFileSync(seg);
  const buffer = file.buffer.slice(file.byteOffset, file.byteOffset + file.byteLength);
  const found = await adaptersSEG.Cornerstone3D.Segmentation.createFromDICOMSegBuffer(imageIds, buffer, {
    metadataProvider: { get: (type, imageId) => known.get(imageId)?.[type], add: () => {} },
  });
  const stream = fs.openSync(out, 'w');
  for (const layer of found.labelMapImages) {
    for (const image of layer) fs.writeSync(stream, Uint8Array.from(image.voxelManager.getScalarData()));
  }
  fs.closeSync(stream);
  return { layers: found.labelMapImages.length, overlapping: Boolean(found.overlappingSegments) };
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  let answer;
  try {
    answer = await read(JSON.parse(line));
  } catch (error) {
    answer = { error: String(error?.message ?? error).split('\n')[0] };
  }
  process.stdout.write(`${JSON.stringify(answer)}\n`);
}
process.exit(0);
