(l(dS'ref_id'
I0
sS'ann_id'
I901
sS'image_id'
I9
sS'category_id'
I47
sS'split'
S'train'
sS'file_name'
S'COCO_train2014_000000000009_0.jpg'
sS'sent_ids'
(lI0
aI1
asS'sentences'
(l(dS'sent_id'
I0
sS'sent'
Vthe left cup 0
sS'raw'
VThe left cup 0
sS'tokens'
(lVthe
aVleft
aVcup
aV0
asa(dS'sent_id'
I1
sS'sent'
Vcup 0 near the edge
sS'raw'
Vcup 0 near the edge
sS'tokens'
(lVcup
aV0
aVnear
aVthe
aVedge
asasa(dS'ref_id'
I1
sS'ann_id'
I902
sS'image_id'
I9
sS'category_id'
I47
sS'split'
S'val'
sS'file_name'
S'COCO_train2014_000000000009_1.jpg'
sS'sent_ids'
(lI2
aI3
asS'sentences'
(l(dS'sent_id'
I2
sS'sent'
Vthe left cup 1
sS'raw'
VThe left cup 1
sS'tokens'
(lVthe
aVleft
aVcup
aV1
asa(dS'sent_id'
I3
sS'sent'
Vcup 1 near the edge
sS'raw'
Vcup 1 near the edge
sS'tokens'
(lVcup
aV1
aVnear
aVthe
aVedge
asasa(dS'ref_id'
I2
sS'ann_id'
I901
sS'image_id'
I9
sS'category_id'
I47
sS'split'
S'testA'
sS'file_name'
S'COCO_train2014_000000000009_2.jpg'
sS'sent_ids'
(lI4
aI5
asS'sentences'
(l(dS'sent_id'
I4
sS'sent'
Vthe left cup 2
sS'raw'
VThe left cup 2
sS'tokens'
(lVthe
aVleft
aVcup
aV2
asa(dS'sent_id'
I5
sS'sent'
Vcup 2 near the edge
sS'raw'
Vcup 2 near the edge
sS'tokens'
(lVcup
aV2
aVnear
aVthe
aVedge
asasa(dS'ref_id'
I3
sS'ann_id'
I902
sS'image_id'
I9
sS'category_id'
I47
sS'split'
S'testB'
sS'file_name'
S'COCO_train2014_000000000009_3.jpg'
sS'sent_ids'
(lI6
aI7
asS'sentences'
(l(dS'sent_id'
I6
sS'sent'
Vthe left cup 3
sS'raw'
VThe left cup 3
sS'tokens'
(lVthe
aVleft
aVcup
aV3
asa(dS'sent_id'
I7
sS'sent'
Vcup 3 near the edge
sS'raw'
Vcup 3 near the edge
sS'tokens'
(lVcup
aV3
aVnear
aVthe
aVedge
asasa.